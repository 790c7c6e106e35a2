-- Store what an open attempt is about to do or has learnt: a call with an id from a reply, a post about to be sent
-- (stamped anew), the acceptance, or a move to unknown.
-- KEYS  1 the edit
-- ARGV  1 now · 2 owner · 3 epoch · 4 attempt number · 5 state · 6 attempt document · 7 '1': it posts · 8 operation id
--       · 9 events, told where the state changes
-- Gives {'ok', now}, {'fenced', owner, epoch} or {'illegal', words}.
-- Operation id: given by the caller, since the same call may rightly be stored (and stamped) twice.
local edit, number, state = KEYS[1], ARGV[4], ARGV[5]

local fenced = fence(edit, ARGV[2], ARGV[3])
if fenced then return fenced end
local held = redis.call('HMGET', edit, 'state:' .. number, 'operation:' .. number, 'stored:' .. number)
if held[2] == ARGV[8] then return {'ok', tonumber(held[3])} end
if not held[1] then return illegal('attempt ' .. number .. ' was never opened') end
if not OPEN[state] or not ATTEMPT[held[1]][state] then
  return illegal('attempt ' .. number .. ' is ' .. held[1] .. ' and cannot be stored as ' .. state)
end
if ARGV[7] == '1' and state == 'accepted' then
  return illegal('attempt ' .. number .. ' is accepted: posting it again would buy it again')
end

local now = clock(ARGV[1])
redis.call('HSET', edit, 'attempt:' .. number, ARGV[6], 'state:' .. number, state,
  'operation:' .. number, ARGV[8], 'stored:' .. number, text(now))
if ARGV[7] == '1' then stamp_post(edit, number, now) end
if held[1] ~= state then tell(edit, ARGV[9]) end
if state == 'accepted' then redis.call('HSETNX', edit, 'accepted:' .. number, text(now)) end
return {'ok', now}
