# Stands for redis:7 where no registry is reached: the same user, directory and command line, from Debian's package.
ARG BASE=debian:trixie-slim
FROM ${BASE}
RUN groupadd --system --gid 999 redis && useradd --system --gid 999 --uid 999 --home-dir /data redis \
 && apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/* && install -d -o redis -g redis /data
# The published image lets other hosts in without a password; the package does not.
RUN printf '#!/bin/sh\nset -e\ncase "$1" in -*|*.conf) set -- redis-server "$@" ;; esac\n\
[ "$1" != redis-server ] || set -- "$@" --protected-mode no\nexec "$@"\n' > /usr/local/bin/docker-entrypoint.sh \
 && chmod 755 /usr/local/bin/docker-entrypoint.sh
WORKDIR /data
VOLUME /data
USER redis
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
