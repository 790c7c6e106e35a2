-- Release an edit that came back from a lost store without an unresolved attempt: its whole hold was kept for one whose
-- row may have been lost. With this it ends.
-- KEYS  1 the edit · 2 ledger · 3 unresolved edits · 4 when ended edits leave their team's list
--       · 5 the team's endpoints
-- ARGV  1 now · 2 edit id · 3 operation id · 4 status that it ends with · 5 its end document · 6 its row
--       · 7 ms to keep a terminal record · 8 to 13 its webhook, as in `finish`
-- Gives {'ok', now} or {'illegal', words}. No owner nor epoch: an edit that has ended is nobody's.
-- Operation id: given by the caller. A repeat gives the first answer.
local edit, id, operation, status = KEYS[1], ARGV[2], 'did:' .. ARGV[3], ARGV[4]

local met = redis.call('HMGET', edit, 'status', operation, 'end')
if not met[1] then return illegal('the store does not hold this edit') end
if met[2] then return {'ok', tonumber(met[2])} end
if met[1] ~= 'unresolved' then return illegal('the edit is ' .. met[1] .. ': only an unresolved one is released') end
if any_unresolved(edit, '') then return illegal('an attempt of it is unresolved: say what became of that') end
if not STATUS.unresolved[status] then return illegal('an unresolved edit cannot become ' .. status) end

local now, purse = clock(ARGV[1]), read_purse(edit)
purse.kept = 0
give_back(purse)
write_purse(purse)
redis.call('HSET', edit, 'status', status, 'end', ARGV[5], 'end_before', met[3], 'finished', text(now),
  operation, text(now))
book(KEYS[2], ARGV[6], now, purse, true)
post(KEYS[5], ARGV[8], id, ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13], now)
conclude(edit, id, status, now)
list_unresolved(KEYS[3], edit, id, now)
expire(KEYS[4], edit, id, status, ARGV[7], now)
return {'ok', now}
