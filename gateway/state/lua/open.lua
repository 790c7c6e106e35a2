-- Open an edit's next attempt: its permit, and its intent with the exact call, before anything is sent.
-- KEYS  1 the edit · 2 the permits of the attempt's account
-- ARGV  1 now · 2 edit id · 3 owner · 4 epoch · 5 attempt number · 6 attempt document · 7 '1': it posts
--       · 8 most permits ('': no limit)
-- Gives {'ok', now}, {'no_permit', now}, {'fenced', owner, epoch} or {'illegal', words}.
-- Operation id: the attempt's number with its document. A repeat gives the first answer.
local edit, id, number, document = KEYS[1], ARGV[2], ARGV[5], ARGV[6]

local fenced = fence(edit, ARGV[3], ARGV[4])
if fenced then return fenced end
local held = redis.call('HMGET', edit, 'status', 'attempts', 'attempt:' .. number, 'state:' .. number, 'opened:' .. number)
if held[3] == document and held[4] == 'intent' then return {'ok', tonumber(held[5])} end
if held[1] ~= 'queued' and held[1] ~= 'running' then
  return illegal('the edit is ' .. held[1] .. ': no attempt can be opened')
end
-- No second purchase while an older one may still happen. Hedging, when it comes, is the one exception.
local other, state = open_attempt(edit)
if other then return illegal('attempt ' .. number .. ' cannot be opened while attempt ' .. other .. ' is ' .. state) end
if tonumber(number) ~= tonumber(held[2]) + 1 then
  return illegal('the next attempt is number ' .. (held[2] + 1) .. ', not ' .. number)
end

local now = clock(ARGV[1])
if not has_permit(KEYS[2], ARGV[8], member(id, number)) then return {'no_permit', now} end
-- Budget: the top-up of the hold is checked here and written below. Ledger outbox row: the attempt and its quote.
write_open(edit, KEYS[2], ARGV[8], id, number, document, ARGV[7], now)
return {'ok', now}
