#!/bin/sh
# Formatting, static analysis of the C sources, shell scripts, and that public modules have a header comment.
set -u
status=0
fail() {
    echo "lint: $1"
    status=1
}
sources=$(git ls-files 'lib/*.[ch]' 'gateway/*.[ch]' 'tests/*.[ch]')
# shellcheck disable=SC2086
clang-format --dry-run --Werror $sources 2>&1 | grep -E 'error|warning' | head -20 | grep . && fail "clang-format: run 'make format'"
cppcheck --quiet --error-exitcode=1 --enable=warning,portability,performance --inline-suppr \
    --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective \
    --suppress=returnDanglingLifetime:lib/http.c -I. -D_GNU_SOURCE --std=c11 --language=c -j 2 lib gateway || fail cppcheck
git ls-files '*.sh' .ci/run | xargs shellcheck -x -S warning || fail shellcheck
for file in lib/*.[ch] gateway/*.[ch]; do
    [ "$(wc -l <"$file")" -le 600 ] || fail "$file is longer than 600 lines"
    head -n 1 "$file" | grep -q '^/\*' || fail "$file does not begin by saying what it is"
done
grep -rnE 'TODO|FIXME|XXX' lib gateway && fail "unfinished"
grep -rn '#include "gateway/' lib && fail "lib/ knows nothing of the gateway"
grep -rn 'curl_easy_init' gateway | grep -v '^gateway/easy.c:' && fail "handles of libcurl come from easy_new"
[ $status -eq 0 ] && echo "lint: clean"
exit $status
