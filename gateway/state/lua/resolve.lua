-- Resolve an attempt that was left unresolved: settle it at a cost, or release it. With the last one the edit ends.
-- KEYS  1 the edit · 2 ledger · 3 unresolved edits · 4 when ended edits leave their team's list
--       · 5 the team's endpoints
-- ARGV  1 now · 2 edit id · 3 operation id · 4 attempt number · 5 state · 6 attempt document · 7 cost ('': none)
--       · 8 row · 9 status of an edit that ends with it · 10 its end document · 11 its row
--       · 12 ms to keep a terminal record · 13 events · 14 to 19 its webhook, as in `finish`
-- Gives {'ok', now} or {'illegal', words}. No owner nor epoch: an edit that has ended is nobody's.
-- Operation id: given by the caller. A repeat gives the first answer.
local edit, id, operation, number, state = KEYS[1], ARGV[2], 'did:' .. ARGV[3], ARGV[4], ARGV[5]

local met = redis.call('HMGET', edit, 'status', 'state:' .. number, operation, 'end', 'cancel')
if not met[1] then return illegal('the store does not hold this edit') end
if met[3] then return {'ok', tonumber(met[3])} end
if met[1] == 'queued' or met[1] == 'running' then return illegal('the edit is ' .. met[1] .. ': its replica decides') end
if met[2] ~= 'unresolved' then
  return illegal('attempt ' .. number .. ' is ' .. (met[2] or 'unknown here') .. ', not unresolved: correct it instead')
end
if OPEN[state] or not ATTEMPT.unresolved[state] then
  return illegal('an unresolved attempt can be settled or released, not ' .. state)
end
local ends = met[1] == 'unresolved' and not any_unresolved(edit, number, state)
local may = STATUS.unresolved[ARGV[9]] or ARGV[9] == 'cancelled' and met[5] -- as its caller asked
if ends and not may then return illegal('an unresolved edit cannot become ' .. ARGV[9]) end

local now, purse = clock(ARGV[1]), read_purse(edit)
settle(purse, number, state, ARGV[7])
give_back(purse)
write_purse(purse)
write_close(edit, id, number, state, ARGV[6], now)
book(KEYS[2], ARGV[8], now, purse)
redis.call('HSET', edit, operation, text(now))
if ends then
  -- The end before stays known, so that a late repeat of the `finish` that wrote it still is one.
  redis.call('HSET', edit, 'status', ARGV[9], 'end', ARGV[10], 'end_before', met[4], 'finished', text(now))
  book(KEYS[2], ARGV[11], now, purse, true)
  tell(edit, ARGV[13])
  post(KEYS[5], ARGV[14], id, ARGV[15], ARGV[16], ARGV[17], ARGV[18], ARGV[19], now)
  conclude(edit, id, ARGV[9], now)
end
list_unresolved(KEYS[3], edit, id, now)
expire(KEYS[4], edit, id, ends and ARGV[9] or met[1], ARGV[12], now)
return {'ok', now}
