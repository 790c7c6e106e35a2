-- Close an attempt: its end, its money and its permit back.
-- KEYS  1 the edit · 2 ledger · 3 unresolved edits
-- ARGV  1 now · 2 edit id · 3 owner · 4 epoch · 5 attempt number · 6 state · 7 attempt document · 8 cost ('': none)
--       · 9 row · 10 events
-- Gives {'ok', now}, {'fenced', owner, epoch} or {'illegal', words}.
-- Operation id: the attempt's number with its end. A repeat gives the first answer.
local edit, number = KEYS[1], ARGV[5]

local fenced = fence(edit, ARGV[3], ARGV[4])
if fenced then return fenced end
local met = look_close(edit, number, ARGV[6], ARGV[7])
if met == 'repeat' then return {'ok', tonumber(redis.call('HGET', edit, 'closed:' .. number))} end
if met then return met end

local now, purse = clock(ARGV[1]), read_purse(edit)
settle(purse, number, ARGV[6], ARGV[8])
write_purse(purse)
write_close(edit, ARGV[2], number, ARGV[6], ARGV[7], now)
list_unresolved(KEYS[3], edit, ARGV[2], now)
book(KEYS[2], ARGV[9], now, purse)
tell(edit, ARGV[10])
return {'ok', now}
