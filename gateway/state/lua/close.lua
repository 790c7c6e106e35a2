-- Close an attempt: its end, and its permit back. Late truth may still settle or release an unresolved one.
-- KEYS  1 the edit
-- ARGV  1 now · 2 edit id · 3 owner · 4 epoch · 5 attempt number · 6 state · 7 attempt document
-- Gives {'ok', now}, {'fenced', owner, epoch} or {'illegal', words}.
-- Operation id: the attempt's number with its end. A repeat gives the first answer.
local edit, number = KEYS[1], ARGV[5]

local fenced = fence(edit, ARGV[3], ARGV[4])
if fenced then return fenced end
local met = look_close(edit, number, ARGV[6], ARGV[7])
if met == 'repeat' then return {'ok', tonumber(redis.call('HGET', edit, 'closed:' .. number))} end
if met then return met end

local now = clock(ARGV[1])
write_close(edit, ARGV[2], number, ARGV[6], ARGV[7], now)
return {'ok', now}
