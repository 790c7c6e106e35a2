-- Enlist an endpoint for a team's webhooks.
-- KEYS  1 the team's endpoints · 2 the endpoint
-- ARGV  1 now · 2 its id · 3 team · 4 mode: all or named, and the events that it wants, if not every one · 5 document · 6 most endpoints of a team
-- Gives {'ok', now} or {'too_many', now}.
-- Operation id: the endpoint's id. A repeat changes nothing.
local now = clock(ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 1 then return {'ok', now} end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[6]) then return {'too_many', now} end
redis.call('HSET', KEYS[2], 'team', ARGV[3], 'mode', ARGV[4], 'document', ARGV[5], 'created', text(now))
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
return {'ok', now}
