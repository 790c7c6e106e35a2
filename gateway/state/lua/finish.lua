-- Finish an edit: its final state, and the close of the attempt that delivered, in one step.
-- KEYS  1 the edit · 2 its owner's open edits
-- ARGV  1 now · 2 edit id · 3 owner · 4 epoch · 5 status · 6 end document · 7 ms to keep a terminal record
--       · 8 attempt number ('': none) · 9 its state · 10 its document
-- Gives {'ok', now}, {'fenced', owner, epoch} or {'illegal', words}.
-- Operation id: the edit's id with its end. A repeat gives the first answer.
local edit, id, status, number = KEYS[1], ARGV[2], ARGV[5], ARGV[8]

local fenced = fence(edit, ARGV[3], ARGV[4])
if fenced then return fenced end
local held = redis.call('HMGET', edit, 'status', 'end', 'finished')
if held[1] == status and held[2] == ARGV[6] then return {'ok', tonumber(held[3])} end
if not STATUS[held[1]][status] then return illegal('the edit is ' .. held[1] .. ' and cannot become ' .. status) end

local met = number ~= '' and look_close(edit, number, ARGV[9], ARGV[10]) or nil
if met and met ~= 'repeat' then return met end
local other, state = open_attempt(edit)
if other and tostring(other) ~= number then
  return illegal('the edit cannot finish while attempt ' .. other .. ' is ' .. state .. ': close it first')
end

local now = clock(ARGV[1])
if number ~= '' and not met then write_close(edit, id, number, ARGV[9], ARGV[10], now) end
redis.call('HSET', edit, 'status', status, 'end', ARGV[6], 'finished', text(now))
redis.call('ZREM', KEYS[2], id)
-- Budget: what is left of the hold returns, unless unresolved. Ledger outbox row: the end. Idempotency key: its 24 h
-- begin now. All three before any expiry below may count.
if status ~= 'unresolved' then redis.call('PEXPIRE', edit, ARGV[7]) end
return {'ok', now}
