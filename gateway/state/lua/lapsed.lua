-- Find ended edits whose prompts' time is over, or whose content shall be erased and is still there.
-- KEYS  1 when edits' contents are looked at
-- ARGV  1 now · 2 most to look at · 3 for how many ms after its end an edit keeps its prompt · 4 prefix of an edit's key
--       (it carries the hash tag: same slot)
-- Gives {'ok', now, how many were looked at, {id, …}}. What is found is looked at again in a minute, if it is still there.
-- Operation id: none. A repeat looks at others.
local index, MINUTE = KEYS[1], 60000

local now, prompts, found = clock(ARGV[1]), tonumber(ARGV[3]), {}
local due = redis.call('ZRANGEBYSCORE', index, '-inf', text(now), 'LIMIT', 0, tonumber(ARGV[2]))
for _, id in ipairs(due) do
  local edit = ARGV[4] .. id
  local met = redis.call('HMGET', edit, 'status', 'finished', 'erase', 'emptied')
  if not met[1] or met[4] then
    redis.call('ZREM', index, id)
  elseif not CONCLUDED[met[1]] or any_unresolved(edit, '') then
    redis.call('ZADD', index, text(now + (met[3] and MINUTE or AGAIN)), id)
  elseif not met[3] and tonumber(met[2]) + prompts > now then
    redis.call('ZADD', index, text(tonumber(met[2]) + prompts), id)
  else
    redis.call('ZADD', index, text(now + MINUTE), id)
    found[#found + 1] = id
  end
end
return {'ok', now, #due, found}
