/*
 * redis_script.c: see redis_script.h.
 *
 * Numbers in Lua are doubles; microseconds since 1970 fit in them to the last digit until the year 2255.
 */
#include "gateway/redis_script.h"

#include "lib/dlock.h"

/* The node's clock, and what is known of its purges. That is made anew, and with it all invalid, where it is
 * missing, or the purges of prefixes are that it tells of. */
#define META                                                                                                 \
    "local function now_us()\n"                                                                              \
    "  local t = redis.call('TIME')\n"                                                                       \
    "  return t[1] * 1000000 + t[2]\n"                                                                       \
    "end\n"                                                                                                  \
    "local function text(n) return string.format('%.0f', n) end\n"                                           \
    "local function meta(key, prefixes_key)\n"                                                               \
    "  local m = redis.call('HMGET', key, 'seq', 'floor', 'soft', 'prefixes')\n"                             \
    "  local seq, floor, soft, prefixes = tonumber(m[1]), tonumber(m[2]), tonumber(m[3]), tonumber(m[4])\n"  \
    "  if seq and floor and soft and prefixes and\n"                                                         \
    "      (prefixes == 0 or redis.call('EXISTS', prefixes_key) == 1) then\n"                                \
    "    return seq, floor, soft, prefixes\n"                                                                \
    "  end\n"                                                                                                \
    "  local now = math.max((seq or 0) + 1, now_us())\n"                                                     \
    "  redis.call('DEL', key)\n"                                                                             \
    "  redis.call('HSET', key, 'seq', text(now), 'floor', text(now), 'soft', '0', 'prefixes', '0')\n"        \
    "  return now, now, 0, 0\n"                                                                              \
    "end\n"

/* The purges that the objects of a group or tag have to be younger than; NIL when nothing is known. */
#define MARKS                                                                                                \
    "local function marks(key)\n"                                                                            \
    "  local v = redis.call('GET', key)\n"                                                                   \
    "  if not v then return nil end\n"                                                                       \
    "  local hard, soft = string.match(v, '^(%d+):(%d+)$')\n"                                                \
    "  return tonumber(hard), tonumber(soft)\n"                                                              \
    "end\n"

/* The same for the prefixes of GROUP. */
#define PREFIX_MARKS                                                                                         \
    "local function prefix_marks(key, group)\n"                                                              \
    "  local all, hard, soft = redis.call('HGETALL', key), 0, 0\n"                                           \
    "  for i = 1, #all, 2 do\n"                                                                              \
    "    local kind, prefix, at = string.sub(all[i], 1, 1), string.sub(all[i], 2), tonumber(all[i + 1])\n"   \
    "    if string.sub(group, 1, #prefix) == prefix then\n"                                                  \
    "      if kind == 'h' then hard = math.max(hard, at) else soft = math.max(soft, at) end\n"               \
    "    end\n"                                                                                              \
    "  end\n"                                                                                                \
    "  return hard, soft\n"                                                                                  \
    "end\n"

/* Of purges of groups and tags up to this one it is not known any more what they concerned. */
#define FORGOTTEN                                                                                            \
    "local function forgotten(meta_key, recent_key)\n"                                                       \
    "  local m = redis.call('HMGET', meta_key, 'last', 'forgotten')\n"                                       \
    "  local last, before = tonumber(m[1] or 0), tonumber(m[2] or 0)\n"                                      \
    "  if last <= before or redis.call('EXISTS', recent_key) == 1 then return before end\n"                  \
    "  redis.call('HSET', meta_key, 'forgotten', text(last))\n"                                              \
    "  return last\n"                                                                                        \
    "end\n"

/* In front of an object lies what scripts have to know of it: SINCE, when it was stored, its fencing number,
 * for how long it is fresh, its version, and the keys of its tags. */
#define HEAD ">I8I8I8I8c8I2"

/* The pieces of the object V that is no longer there; PREFIX is "P:p:". */
#define LET_PIECES_GO                                                                                        \
    "local function let_pieces_go(prefix, v)\n"                                                              \
    "  local function hex(c) return string.format('%02x', string.byte(c)) end\n"                             \
    "  redis.call('PEXPIRE', prefix .. string.gsub(string.sub(v, 33, 40), '.', hex), 60000)\n"               \
    "end\n"

/*
 * KEYS  object, meta, group, prefixes, lock, fence
 * ARGV  token ('': no lock is wanted), its time to live in ms, version that the caller has (''), group, 1: a
 * fresh object does not do, P:p: Answer  {object: 0 none, 1 it is here, 2 it is the version that the caller
 * has; lock: 0 not asked for, or memory is short, 1 granted, 2 somebody else has it; seq, fencing number, ms
 * since it was stored, 1: purged softly, version, object}
 */
static const char cache_read[] = META MARKS PREFIX_MARKS LET_PIECES_GO DLOCK_LUA_FUNCTIONS
    "local seq, floor, soft, prefixes = meta(KEYS[2], KEYS[4])\n"
    "local v = redis.call('GET', KEYS[1])\n"
    "local found, elapsed, softened, version, fresh = 0, 0, 0, '', false\n"
    "local function is_valid()\n"
    "  local since, stored, fence, life, own, ntags, at = struct.unpack('" HEAD "', v)\n"
    "  if since < floor then return false end\n"
    "  if since < soft then softened = 1 end\n"
    "  local hard, s = marks(KEYS[3])\n"
    "  if not hard or since < hard then return false end\n"
    "  if since < s then softened = 1 end\n"
    "  for i = 1, ntags do\n"
    "    local tag\n"
    "    tag, at = struct.unpack('>I2c0', v, at)\n"
    "    hard, s = marks(tag)\n"
    "    if not hard or since < hard then return false end\n"
    "    if since < s then softened = 1 end\n"
    "  end\n"
    "  if prefixes > 0 then\n"
    "    hard, s = prefix_marks(KEYS[4], ARGV[4])\n"
    "    if since < hard then return false end\n"
    "    if since < s then softened = 1 end\n"
    "  end\n"
    "  local age = now_us() - stored\n"
    "  elapsed = math.max(0, math.floor(age / 1000))\n"
    "  fresh = age < life and softened == 0\n"
    "  version = own\n"
    "  v = string.sub(v, at)\n"
    "  return true\n"
    "end\n"
    "if v and is_valid() then\n"
    "  found = 1\n"
    "  if version == ARGV[3] then found, v = 2, '' end\n"
    "elseif v then\n"
    "  redis.call('UNLINK', KEYS[1])\n"
    "  let_pieces_go(ARGV[6], v)\n"
    "  softened = 0\n"
    "end\n"
    "if found == 0 then v = '' end\n"
    "local lock, fence = 0, 0\n"
    "if ARGV[1] ~= '' and (not fresh or ARGV[5] == '1') then\n"
    "  local ok, number = pcall(dlock_acquire, KEYS[5], KEYS[6], ARGV[1], ARGV[2])\n"
    "  if ok then lock, fence = number and 1 or 2, number or 0 end\n"
    "end\n"
    "return {found, lock, seq, fence, elapsed, softened, version, v}\n";

/*
 * KEYS  object, meta, group, prefixes, lock, recent, tags...
 * ARGV  token, seq and fencing number that REDIS_CACHE_READ gave, ms to keep it, us that it is fresh for,
 * version, group, object, channel, announcement, P:p: Answer  1, or 0: it was purged, a later fetch has
 * stored already, or this node has never given that SEQ
 */
static const char cache_store[] = META MARKS PREFIX_MARKS FORGOTTEN LET_PIECES_GO DLOCK_LUA_FUNCTIONS
    "local seq, floor, _, prefixes = meta(KEYS[2], KEYS[4])\n"
    "local since, fence, ttl = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    /* What is not known of a mark any more follows from the purges that are remembered. */
    "local function last_purge(key)\n"
    "  return math.max(forgotten(KEYS[2], KEYS[6]), floor, tonumber(redis.call('ZSCORE', KEYS[6], key) or "
    "0))\n"
    "end\n"
    "local old = redis.call('GETRANGE', KEYS[1], 0, 39)\n"
    "local missing = {}\n"
    "local function may_be_marked(key)\n"
    "  local hard = marks(key)\n"
    "  if not hard then\n"
    "    hard = last_purge(key)\n"
    "    missing[key] = text(hard) .. ':0'\n"
    "  end\n"
    "  return since >= hard\n"
    "end\n"
    "local function mark(key)\n"
    "  if missing[key] then\n"
    "    redis.call('SET', key, missing[key], 'PX', ttl + 60000)\n"
    "  elseif redis.call('PTTL', key) < ttl + 60000 then\n"
    "    redis.call('PEXPIRE', key, ttl + 60000)\n"
    "  end\n"
    "end\n"
    "local function may_be_stored()\n"
    /* From the future: no purge would be of it. */
    "  if since < floor or since > seq then return false end\n"
    "  if #old == 40 then\n"
    "    local _, _, last = struct.unpack('>I8I8I8', old)\n"
    "    if last > fence then return false end\n"
    "  end\n"
    "  if since < tonumber(redis.call('HGET', KEYS[2], 'dropped') or 0) then return false end\n"
    "  if prefixes > 0 and since < prefix_marks(KEYS[4], ARGV[7]) then return false end\n"
    "  if not may_be_marked(KEYS[3]) then return false end\n"
    "  for i = 7, #KEYS do\n"
    "    if not may_be_marked(KEYS[i]) then return false end\n"
    "  end\n"
    "  return true\n"
    "end\n"
    "local stored = may_be_stored()\n"
    "if stored then\n"
    "  local head = {struct.pack('" HEAD
    "', since, now_us(), fence, tonumber(ARGV[5]), ARGV[6], #KEYS - 6)}\n"
    "  for i = 7, #KEYS do head[#head + 1] = struct.pack('>I2c0', #KEYS[i], KEYS[i]) end\n"
    "  head[#head + 1] = ARGV[8]\n"
    /* First, since a script that has written is not refused for want of memory any more. */
    "  redis.call('SET', KEYS[1], table.concat(head), 'PX', ttl)\n"
    "  if #old == 40 and string.sub(old, 33) ~= ARGV[6] then let_pieces_go(ARGV[11], old) end\n"
    "  mark(KEYS[3])\n"
    "  for i = 7, #KEYS do mark(KEYS[i]) end\n"
    "  local m = tonumber(redis.call('HGET', KEYS[2], 'longest') or 0)\n"
    "  if ttl > m then redis.call('HSET', KEYS[2], 'longest', text(ttl)) end\n"
    "end\n"
    "dlock_release(KEYS[5], ARGV[1])\n"
    "redis.call('PUBLISH', ARGV[9], ARGV[10])\n"
    "return stored and 1 or 0\n";

/*
 * KEYS  lock
 * ARGV  token, channel, announcement
 * Answer  1: it was held
 */
static const char cache_release[] = DLOCK_LUA_FUNCTIONS "local held = dlock_release(KEYS[1], ARGV[1])\n"
                                                        "redis.call('PUBLISH', ARGV[2], ARGV[3])\n"
                                                        "return held\n";

/*
 * KEYS  lock
 * ARGV  token, its time to live in ms
 * Answer  1: it is still held
 */
static const char cache_extend[] = DLOCK_LUA_FUNCTIONS "return dlock_extend(KEYS[1], ARGV[1], ARGV[2])\n";

/*
 * KEYS  pieces
 * ARGV  number, piece, ms to keep them
 * Answer  1
 *
 * At once with its expiry, so that nothing stays for ever of what is not completed.
 */
static const char cache_piece[] = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])\n"
                                  "return redis.call('PEXPIRE', KEYS[1], ARGV[3])\n";

/*
 * KEYS  object, pieces
 * ARGV  version
 * Answer  1: it was there
 */
static const char cache_drop[] = "if redis.call('GETRANGE', KEYS[1], 32, 39) ~= ARGV[1] then return 0 end\n"
                                 "redis.call('UNLINK', KEYS[1], KEYS[2])\n"
                                 "return 1\n";

/*
 * KEYS  meta, prefixes, key of the group or tag, recent
 * ARGV  'all', 'group', 'tag' or 'prefix'; 1: softly; the prefix; channel ('': tell nobody), announcement
 * Answer  how many gateways were told
 *
 * Purges of groups and tags are remembered for fetches that have begun before them, the last thousand of
 * them; soft ones too, for a mark that is lost and made anew. Where there is no mark, a soft one is a hard
 * one: nothing is valid there. Of prefixes 32 are remembered, until nothing that was stored before them can
 * be there any more, and nothing from before is stored after that; one more purges everything. So does one
 * that cannot be carried out.
 */
static const char cache_purge[] = META MARKS FORGOTTEN
    "local last = meta(KEYS[1], KEYS[2])\n"
    "local seq, softly = math.max(last + 1, now_us()), ARGV[2] == '1'\n"
    "local function count_prefixes()\n"
    "  redis.call('HSET', KEYS[1], 'prefixes', text(redis.call('HLEN', KEYS[2])))\n"
    "end\n"
    /* Prefixes need not be remembered that it purges, too. */
    "local function purge_all()\n"
    "  redis.call('HSET', KEYS[1], softly and 'soft' or 'floor', text(seq))\n"
    "  for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do\n"
    "    if not softly or string.sub(field, 1, 1) == 's' then redis.call('HDEL', KEYS[2], field) end\n"
    "  end\n"
    "  count_prefixes()\n"
    "end\n"
    "local function forget_prefixes()\n"
    "  local longest = tonumber(redis.call('HGET', KEYS[1], 'longest') or 0)\n"
    "  local dropped = tonumber(redis.call('HGET', KEYS[1], 'dropped') or 0)\n"
    "  local all = redis.call('HGETALL', KEYS[2])\n"
    "  for i = 1, #all, 2 do\n"
    "    local at = tonumber(all[i + 1])\n"
    "    if at + longest * 1000 + 60000000 < seq then\n"
    "      redis.call('HDEL', KEYS[2], all[i])\n"
    "      dropped = math.max(dropped, at)\n"
    "    end\n"
    "  end\n"
    "  redis.call('HSET', KEYS[1], 'dropped', text(dropped))\n"
    "end\n"
    "local function purge_prefix()\n"
    "  local field = (softly and 's' or 'h') .. ARGV[3]\n"
    "  forget_prefixes()\n"
    "  if redis.call('HLEN', KEYS[2]) >= 32 and redis.call('HEXISTS', KEYS[2], field) == 0 then\n"
    "    return purge_all()\n"
    "  end\n"
    "  redis.call('HSET', KEYS[2], field, text(seq))\n"
    "  count_prefixes()\n"
    "end\n"
    "local function purge_mark()\n"
    "  local hard = marks(KEYS[3])\n"
    "  local left = redis.call('PTTL', KEYS[3])\n"
    "  if softly and hard and left > 0 then\n"
    "    redis.call('SET', KEYS[3], text(hard) .. ':' .. text(seq), 'PX', left)\n"
    "  else\n"
    "    redis.call('UNLINK', KEYS[3])\n"
    "  end\n"
    "  forgotten(KEYS[1], KEYS[4])\n"
    "  redis.call('ZADD', KEYS[4], text(seq), KEYS[3])\n"
    "  redis.call('HSET', KEYS[1], 'last', text(seq))\n"
    "  if redis.call('ZCARD', KEYS[4]) > 1000 then\n"
    "    redis.call('HSET', KEYS[1], 'forgotten', redis.call('ZPOPMIN', KEYS[4])[2])\n"
    "  end\n"
    "end\n"
    "local purges = {all = purge_all, prefix = purge_prefix, group = purge_mark, tag = purge_mark}\n"
    /* A script whose first write needs no memory is not refused the others. */
    "redis.call('HDEL', KEYS[1], 'none')\n"
    "local ok = pcall(function()\n"
    "  redis.call('HSET', KEYS[1], 'seq', text(seq))\n"
    "  purges[ARGV[1]]()\n"
    "end)\n"
    "if not ok then redis.call('DEL', KEYS[1]) end\n"
    "if ARGV[4] == '' then return 0 end\n"
    "return redis.call('PUBLISH', ARGV[4], ARGV[5])\n";

/*
 * KEYS  alive (when each gateway was last heard of), rings (the list of nodes that each has)
 * ARGV  the gateway, its fingerprint of the nodes, ms after which a gateway that is silent counts as gone, 1:
 * it goes Answer  {gateways that are alive, of them those with another list of nodes}
 */
static const char fleet_beat[] =
    META "local now, life = math.floor(now_us() / 1000), tonumber(ARGV[3])\n"
         /* First, since a script whose first write needs no memory is not refused the others. */
         "redis.call('ZREM', KEYS[1], ARGV[1])\n"
         "if ARGV[4] == '1' then\n"
         "  redis.call('HDEL', KEYS[2], ARGV[1])\n"
         "else\n"
         "  redis.call('ZADD', KEYS[1], text(now), ARGV[1])\n"
         "  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])\n"
         "end\n"
         /* What is of the future is of a clock that was set back. */
         "local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')\n"
         "for i = 1, #all, 2 do\n"
         "  local at = tonumber(all[i + 1])\n"
         "  if at < now - life or at > now then redis.call('ZREM', KEYS[1], all[i]) end\n"
         "end\n"
         "local rings, others = redis.call('HGETALL', KEYS[2]), 0\n"
         "for i = 1, #rings, 2 do\n"
         "  if not redis.call('ZSCORE', KEYS[1], rings[i]) then\n"
         "    redis.call('HDEL', KEYS[2], rings[i])\n"
         "  elseif rings[i + 1] ~= ARGV[2] then\n"
         "    others = others + 1\n"
         "  end\n"
         "end\n"
         "redis.call('PEXPIRE', KEYS[1], life)\n"
         "redis.call('PEXPIRE', KEYS[2], life)\n"
         "return {redis.call('ZCARD', KEYS[1]), others}\n";

/*
 * Tokens of a limit, leased; lib/token_lease.h has the rules and the proof.
 *
 * KEYS[1]: the bucket. ARGV:
 *   1 parts, 2 refill   a token consists of so many parts; so many come back in a microsecond
 *   3 burst             tokens
 *   4 life              of a lease, in microseconds; 0: what is granted is charged at once
 *   5 want, 6 at_least  tokens: as many as there are, or none when those are fewer
 *   7 back, 8 stamp     tokens of an earlier lease that were not used
 *   9 full_in           microseconds until the bucket would be full, for when it does not exist
 *  10 owed, 11 down     tokens admitted without it in the last so many microseconds, for when it is older
 *  12 spent             tokens of the lease STAMP that were used
 * Answer: granted, left, microseconds until there are at_least (after a grant, until there is one),
 * microseconds until it is full, stamp of the lease.
 *
 * The bucket is a line of numbers: when it was brought up to date, when it was made, the debt in parts, and
 * pairs of what is pending: when it will be charged, tokens. Debt in parts instead of a time makes all of it
 * whole numbers for any rate: 1,000,000 a second is one part a microsecond; 999,999 a second are 1,000,000
 * parts a token and 999,999 a microsecond. Exact as long as parts * burst < 2^53; beyond that an operation
 * errs by one part in 2^53 of the burst.
 *
 * Pending tokens of an eighth of a life are charged together, a life after the eighth has ended, so that
 * there are ten pairs at most. A clock that was set back does not refill; one that was set forward does.
 */
static const char limit_take[] =
    "local a = {}\n"
    "for i = 1, 12 do a[i] = tonumber(ARGV[i]) end\n"
    "local parts, refill, burst, life, want, at_least, back, stamp, full_in, owed, down,\n"
    "  spent = unpack(a)\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000000 + time[2]\n"
    "local text = redis.call('GET', KEYS[1])\n"
    "local at, made, debt, cells = now, now, math.min(full_in * refill, burst * parts), {}\n"
    "local is_changed = not text\n"
    /* what is stored, up to date */
    "if text then\n"
    "  local n = {}\n"
    "  for word in string.gmatch(text, '%S+') do n[#n + 1] = tonumber(word) end\n"
    "  local ahead = math.max(0, n[1] - now)\n"
    "  is_changed = ahead > 0\n"
    "  at, made, debt = n[1] - ahead, n[2] - ahead, n[3]\n"
    "  for i = 4, #n, 2 do cells[#cells + 1] = {n[i] - ahead, n[i + 1]} end\n"
    "end\n"
    "while cells[1] and cells[1][1] <= now do\n"
    "  local cell = table.remove(cells, 1)\n"
    "  debt = math.max(0, debt - (cell[1] - at) * refill) + cell[2] * parts\n"
    "  at = cell[1]\n"
    "end\n"
    "debt = math.max(0, debt - (now - at) * refill)\n"
    /* what comes back, and what was spent elsewhere */
    "if text and back + spent > 0 then\n"
    "  is_changed = true\n"
    "  if life == 0 then debt = math.max(0, debt - math.max(0, back * parts - (now - stamp) * refill)) end\n"
    "  for _, cell in ipairs(cells) do\n"
    "    if cell[1] == stamp then\n"
    "      cell[2] = math.max(0, cell[2] - back)\n"
    "      spent = math.min(spent, cell[2])\n"
    "      cell[2] = cell[2] - spent\n"
    "      debt = debt + spent * parts\n"
    "    end\n"
    "  end\n"
    "end\n"
    "if text and owed > 0 and now - made >= down then\n"
    "  is_changed = true\n"
    "  debt = math.max(debt, math.min(debt + owed * parts, burst * parts))\n"
    "end\n"
    "local pending = 0\n"
    "for _, cell in ipairs(cells) do pending = pending + cell[2] end\n"
    /* the grant */
    "local room = math.max(0, math.floor((burst * parts - debt) / parts) - pending)\n"
    "local granted = math.min(want, room)\n"
    "if granted < at_least then granted = 0 end\n"
    "stamp = now\n"
    "if granted > 0 then\n"
    "  is_changed = true\n"
    "  if life == 0 then\n"
    "    debt = debt + granted * parts\n"
    "  else\n"
    "    local eighth = math.max(1, math.floor(life / 8))\n"
    "    local last = cells[#cells]\n"
    "    stamp = (math.floor(now / eighth) + 1) * eighth + life\n"
    "    if last and last[1] >= stamp then\n"
    "      stamp = last[1]\n"
    "      last[2] = last[2] + granted\n"
    "    else\n"
    "      cells[#cells + 1] = {stamp, granted}\n"
    "    end\n"
    "    pending = pending + granted\n"
    "  end\n"
    "end\n"
    /* when so many parts will have come back */
    "local function time_to(missing)\n"
    "  local t, d = now, debt\n"
    "  for _, cell in ipairs(cells) do\n"
    "    local paid = math.min(d, (cell[1] - t) * refill)\n"
    "    if missing <= paid then break end\n"
    "    missing, d, t = missing - paid, d - paid + cell[2] * parts, cell[1]\n"
    "  end\n"
    "  return t - now + math.ceil(missing / refill)\n"
    "end\n"
    "local left, retry = room - granted, 0\n"
    "local needed = granted > 0 and 1 or math.max(1, at_least)\n"
    "if left < needed then retry = time_to((needed + pending - burst) * parts + debt) end\n"
    "local full = time_to(debt + pending * parts)\n"
    "if is_changed and full > 0 then\n"
    "  local line = {}\n"
    "  for i, n in ipairs({now, made, debt}) do line[i] = string.format('%.0f', n) end\n"
    "  for _, cell in ipairs(cells) do\n"
    "    line[#line + 1] = string.format('%.0f %.0f', cell[1], cell[2])\n"
    "  end\n"
    "  redis.call('SET', KEYS[1], table.concat(line, ' '), 'PX',\n"
    "    string.format('%.0f', math.ceil(full / 1000) + 1))\n"
    "elseif is_changed and text then\n"
    "  redis.call('DEL', KEYS[1])\n"
    "end\n"
    "return {granted, left, retry, full, stamp}\n";

static const struct redis_script_text scripts[REDIS_SCRIPTS] = {
    [REDIS_CACHE_READ] = {"cache_read", cache_read},
    [REDIS_CACHE_STORE] = {"cache_store", cache_store},
    [REDIS_CACHE_RELEASE] = {"cache_release", cache_release},
    [REDIS_CACHE_EXTEND] = {"cache_extend", cache_extend},
    [REDIS_CACHE_PIECE] = {"cache_piece", cache_piece},
    [REDIS_CACHE_DROP] = {"cache_drop", cache_drop},
    [REDIS_CACHE_PURGE] = {"cache_purge", cache_purge},
    [REDIS_FLEET_BEAT] = {"fleet_beat", fleet_beat},
    [REDIS_LIMIT_TAKE] = {"limit_take", limit_take},
};

const struct redis_script_text *redis_script_text(enum redis_script s)
{
    return &scripts[s];
}
