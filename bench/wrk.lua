-- Requests of one address that differ in a field, so that no answer is given twice (not with FIXED in the environment);
-- the figures as one line of JSON.
local number = math.random(1, 1000000000)
local fixed = os.getenv("FIXED")
request = function()
  if fixed then return wrk.format("GET", wrk.path) end
  number = number + 1
  local sign = string.find(wrk.path, "?", 1, true) and "&" or "?"
  return wrk.format("GET", wrk.path .. sign .. "x=" .. number)
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'FIGURES {"requests": %d, "per_s": %.1f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
