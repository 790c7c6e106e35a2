-- Tell what became of a delivery that was lent: delivered, due again, or given up. The endpoint of one that is given up
-- is disabled, unless it took something else since then.
-- KEYS  1 the delivery
-- ARGV  1 now · 2 prefix of webhooks' names (it carries the hash tag: same slot) · 3 endpoint · 4 team · 5 message
--       · 6 end of the loan · 7 verdict: delivered, again, given_up, gone · 8 ms of the pause · 9 document of the try
--       · 10 tries before it
-- Gives {'ok', now, 1 if the endpoint was disabled by it}, or {'late', now}: whoever has the loan now tells.
-- Operation id: the loan's end with the tries before it. A repeat changes nothing.
local held, team, message, loan, verdict = KEYS[1], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local operation = loan .. '#' .. ARGV[10]
local room, now = rooms(ARGV[2], ARGV[3]), clock(ARGV[1])

local met = redis.call('HMGET', held, 'state', 'tries', 'operation', 'queued')
if not met[1] or met[1] == 'delivered' then return {'late', now} end
if met[3] == operation then return {'ok', now, 0} end
local mine = redis.call('ZSCORE', room.lent, message)
if verdict ~= 'delivered' and (not mine or text(mine) ~= loan) then return {'late', now} end
local record = redis.call('HMGET', room.record, 'team', 'delivered', 'disabled')
if not record[1] then return {'late', now} end

local tries = met[2] + 1
give_back_loan(room, team, message)
redis.call('HSET', held, 'operation', operation, 'tries', text(tries), 'try:' .. text(tries), ARGV[9])
if verdict == 'again' then
  redis.call('ZADD', room.queue, text(now + ARGV[8]), message)
  redis.call('HSET', held, 'due', text(now + ARGV[8]))
else
  redis.call('ZREM', room.queue, message)
  redis.call('HSET', held, 'state', verdict == 'delivered' and 'delivered' or 'failed', 'due', '')
end
if not record[3] then wake(room, now) end
if verdict == 'delivered' then
  redis.call('HSET', room.record, 'delivered', text(now))
  return {'ok', now, 0}
end
local silent = verdict == 'given_up' and tonumber(record[2] or 0) < tonumber(met[4])
if record[3] or not (verdict == 'gone' or silent) then return {'ok', now, 0} end
disable(room, team, verdict, now)
return {'ok', now, 1}
