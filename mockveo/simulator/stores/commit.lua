-- Commit what a process changed in a world if the world is as the process knows it, and return the outcome with what it needs.
-- ARGV: tip (the commit of the version), version, commit, whether to begin anew, life, length of the log, most exchanges, whether to clear the journal,
-- how long to remember the commit, for how many milliseconds to have the turn if it is stale, or 0; then counted lists: entries, removed keys, exchanges, amended exchanges.
local meta = redis.call('HMGET', KEYS[1], 'version', 'tip', 'count', 'first')
local version, tip, known = tonumber(meta[1] or '0'), meta[2] or '', tonumber(ARGV[2])
local count, first = tonumber(meta[3] or '0'), tonumber(meta[4] or '1')
local done = redis.call('GET', KEYS[5])
if done then
  local commit, at, counted, its = string.match(done, '^(%S+) (%d+) (%d+) (%S*)$')
  if commit == ARGV[3] then return {'ok', tonumber(at), tonumber(counted), its} end
end
if ARGV[4] == '1' then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  count, first = 0, 1
elseif version ~= known or tip ~= ARGV[1] then
  -- A version that this server made with another commit is of a history that it has lost, e.g. in a crash.
  local base = redis.call('LINDEX', KEYS[3], version - known)
  if known == 0 or known >= version or not base or cmsgpack.unpack(base)[1] ~= ARGV[1] then return {'replaced'} end
  local changed, seen = {}, {}
  for _, packed in ipairs(redis.call('LRANGE', KEYS[3], 0, version - known - 1)) do
    for place, key in ipairs(cmsgpack.unpack(packed)) do
      if place > 1 and not seen[key] then
        seen[key] = true
        changed[#changed + 1] = key
        changed[#changed + 1] = redis.call('HGET', KEYS[2], key)
      end
    end
  end
  -- It has been too late several times: until its next commit, or for that long, others that would change state wait.
  if ARGV[10] ~= '0' then redis.call('SET', KEYS[6], KEYS[5], 'PX', ARGV[10], 'NX') end
  return {'stale', version, tip, changed}
end
local at, changed = 11, {ARGV[3]}
local changes = tonumber(ARGV[at]) + tonumber(ARGV[at + 1 + 2 * tonumber(ARGV[at])])
local turn = ARGV[4] ~= '1' and (changes > 0 or ARGV[10] ~= '0') and redis.call('GET', KEYS[6])
if turn and turn ~= KEYS[5] then return {'busy'} end
if turn then redis.call('DEL', KEYS[6]) end
for i = 1, tonumber(ARGV[at]) do
  redis.call('HSET', KEYS[2], ARGV[at + 1], ARGV[at + 2])
  changed[#changed + 1] = ARGV[at + 1]
  at = at + 2
end
at = at + 1
for i = 1, tonumber(ARGV[at]) do
  redis.call('HDEL', KEYS[2], ARGV[at + i])
  changed[#changed + 1] = ARGV[at + i]
end
at = at + tonumber(ARGV[at]) + 1
if #changed > 1 then
  version, tip = version + 1, ARGV[3]
  redis.call('LPUSH', KEYS[3], cmsgpack.pack(changed))
  redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[6]) - 1)
end
if ARGV[8] == '1' then
  redis.call('DEL', KEYS[4])
  first = count + 1
end
local most = tonumber(ARGV[7])
for i = 1, tonumber(ARGV[at]) do
  count = count + 1
  redis.call('HSET', KEYS[4], count, ARGV[at + i])
  while count - first + 1 > most do
    redis.call('HDEL', KEYS[4], first)
    first = first + 1
  end
end
at = at + tonumber(ARGV[at]) + 1
for i = 1, tonumber(ARGV[at]) do
  if redis.call('HEXISTS', KEYS[4], ARGV[at + 1]) == 1 then redis.call('HSET', KEYS[4], ARGV[at + 1], ARGV[at + 2]) end
  at = at + 2
end
redis.call('HSET', KEYS[1], 'version', version, 'tip', tip, 'count', count, 'first', first)
for i = 1, 4 do redis.call('EXPIRE', KEYS[i], ARGV[5]) end
redis.call('SET', KEYS[5], ARGV[3] .. ' ' .. version .. ' ' .. count .. ' ' .. tip, 'EX', ARGV[9])
return {'ok', version, count, tip}
