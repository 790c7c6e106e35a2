-- Undo an acceptance that too few replicas of the store confirmed, or whose reply was lost, whether or not it took
-- effect: from here on it cannot. Nothing of the edit was sent yet. One that another request has joined is kept.
-- KEYS  1 the edit · 2 its owner's open edits · 3 ledger · 4 the API key's open edits
--       · 5 that this acceptance was taken back · 6 when edits' contents are looked at
-- ARGV  1 now · 2 edit id · 3 owner · 4 epoch · 5 row
-- Gives {'ok', now}, {'kept', now}, {'fenced', owner, epoch} or {'illegal', words}.
-- Operation id: the edit's id. A repeat finds it gone.
local edit, id = KEYS[1], ARGV[2]

local now = clock(ARGV[1])
local met = redis.call('HMGET', edit, 'status', 'attempts', 'state:1', 'claim', 'permit:1', 'joined', 'list', 'events')
if not met[1] then
  redis.call('SET', KEYS[5], '1', 'PX', LATER)
  return {'ok', now}
end
local fenced = fence(edit, ARGV[3], ARGV[4])
if fenced then return fenced end
if met[1] ~= 'queued' and not (met[1] == 'running' and met[2] == '1' and met[3] == 'intent') then
  return illegal('the edit is ' .. met[1] .. ' and went on since it was accepted')
end

if met[6] then return {'kept', now} end

local purse = read_purse(edit)
give_back(purse)
write_purse(purse)
book(KEYS[3], ARGV[5], now, purse, true)
if met[5] then redis.call('SREM', met[5], member(id, 1)) end
if met[4] and redis.call('HGET', met[4], 'edit') == id then redis.call('DEL', met[4]) end
redis.call('ZREM', KEYS[2], id)
redis.call('SREM', KEYS[4], id)
if met[7] then redis.call('ZREM', met[7], id) end
if met[8] then redis.call('DEL', met[8]) end
redis.call('ZREM', KEYS[6], id)
redis.call('DEL', edit)
redis.call('SET', KEYS[5], '1', 'PX', LATER)
return {'ok', now}
