-- Finish an edit: its final state, what is left of its hold, and the close of the attempt that led here, in one step.
-- KEYS  1 the edit · 2 its owner's open edits · 3 ledger · 4 unresolved edits · 5 the API key's open edits
--       · 6 when ended edits leave their team's list · 7 the team's endpoints
-- ARGV  1 now · 2 edit id · 3 owner · 4 epoch · 5 status · 6 end document · 7 ms to keep a terminal record
--       · 8 attempt number ('': none) · 9 its state · 10 its document · 11 its cost ('': none) · 12 row of the close
--       · 13 row of the end · 14 events · 15 to 20 its webhook: prefix of names, message, event, data, the endpoint that
--       the edit names ('': none), its address there
-- Gives {'ok', now, when its end was asked for (0: never)}, {'cancelled', now} (then it cannot succeed),
--       {'fenced', owner, epoch} or {'illegal', words}.
-- Operation id: the edit's id with its end. A repeat gives the first answer.
local edit, id, status, number = KEYS[1], ARGV[2], ARGV[5], ARGV[8]

local fenced = fence(edit, ARGV[3], ARGV[4])
if fenced then return fenced end
local met = redis.call('HMGET', edit, 'status', 'end', 'finished', 'end_before', 'cancel')
if met[1] == status and met[2] == ARGV[6] or met[4] == ARGV[6] then
  return {'ok', tonumber(met[3]), tonumber(met[5] or 0)}
end
if not STATUS[met[1]][status] then return illegal('the edit is ' .. met[1] .. ' and cannot become ' .. status) end

if met[5] and status == 'succeeded' then return {'cancelled', clock(ARGV[1])} end

local closing = number ~= '' and look_close(edit, number, ARGV[9], ARGV[10]) or nil
if closing and closing ~= 'repeat' then return closing end
if others(edit, number) > 0 then
  return illegal('the edit cannot finish while another attempt is open: close it first')
end
if status == 'unresolved' and not any_unresolved(edit, number, ARGV[9]) then
  return illegal('the edit cannot be unresolved: no attempt of it is')
end

local now, purse = clock(ARGV[1]), read_purse(edit)
if number ~= '' and not closing then
  settle(purse, number, ARGV[9], ARGV[11])
  write_close(edit, id, number, ARGV[9], ARGV[10], now)
  book(KEYS[3], ARGV[12], now, purse)
end
give_back(purse)
write_purse(purse)
book(KEYS[3], ARGV[13], now, purse, true)
redis.call('HSET', edit, 'status', status, 'end', ARGV[6], 'finished', text(now))
tell(edit, ARGV[14])
post(KEYS[7], ARGV[15], id, ARGV[16], ARGV[17], ARGV[18], ARGV[19], ARGV[20], now)
redis.call('ZREM', KEYS[2], id)
redis.call('SREM', KEYS[5], id)
list_unresolved(KEYS[4], edit, id, now)
conclude(edit, id, status, now)
expire(KEYS[6], edit, id, status, ARGV[7], now)
return {'ok', now, tonumber(met[5] or 0)}
