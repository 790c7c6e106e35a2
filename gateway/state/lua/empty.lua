-- Take the content out of an ended edit: its documents are replaced by those without a prompt or a call. Not while one of
-- its attempts is unresolved: finding out what became of that one needs them.
-- KEYS  1 the edit · 2 when edits' contents are looked at · 3 that something was taken out
-- ARGV  1 now · 2 edit id · 3 4 5 … fields, each with the document that was read and the one to write
-- Gives {'ok', now}, {'goes_on', now}, {'unresolved', now}, {'changed', now} (read it again) or {'gone', now}.
-- Operation id: the edit's id. A repeat finds it empty.
local edit = KEYS[1]

local now, met = clock(ARGV[1]), redis.call('HMGET', edit, 'status', 'emptied')
if not met[1] then
  redis.call('ZREM', KEYS[2], ARGV[2])
  return {'gone', now}
end
if met[2] then return {'ok', now} end
if not CONCLUDED[met[1]] then return {'goes_on', now} end
if any_unresolved(edit, '') then return {'unresolved', now} end
for i = 3, #ARGV, 3 do
  if redis.call('HGET', edit, ARGV[i]) ~= ARGV[i + 1] then return {'changed', now} end
end

for i = 3, #ARGV, 3 do redis.call('HSET', edit, ARGV[i], ARGV[i + 2]) end
redis.call('HSET', edit, 'emptied', text(now))
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('SET', KEYS[3], text(now))
return {'ok', now}
