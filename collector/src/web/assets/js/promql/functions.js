// The functions of PromQL with what they do, for completion.

export const FUNCTIONS = {
  abs: ['abs(v)', 'value without its sign'],
  absent: ['absent(v)', '1 when nothing matches, otherwise nothing'],
  absent_over_time: ['absent_over_time(v[5m])', '1 when there was no sample in the window'],
  avg_over_time: ['avg_over_time(v[5m])', 'mean of the window'],
  ceil: ['ceil(v)', 'rounded up'],
  changes: ['changes(v[5m])', 'how often the value changed'],
  clamp: ['clamp(v, min, max)', 'kept between two bounds'],
  clamp_max: ['clamp_max(v, max)', 'at most max'],
  clamp_min: ['clamp_min(v, min)', 'at least min'],
  count_over_time: ['count_over_time(v[5m])', 'samples in the window'],
  day_of_week: ['day_of_week(v)', 'day of the week in UTC, 0 is Sunday'],
  delta: ['delta(v[5m])', 'difference over the window, for gauges'],
  deriv: ['deriv(v[5m])', 'slope by least squares, for gauges'],
  exp: ['exp(v)', 'e to the power'],
  floor: ['floor(v)', 'rounded down'],
  histogram_quantile: ['histogram_quantile(0.99, sum by (le) (rate(v_bucket[5m])))', 'quantile from the buckets of a histogram'],
  hour: ['hour(v)', 'hour of the day in UTC'],
  idelta: ['idelta(v[5m])', 'difference of the last two samples'],
  increase: ['increase(v[1h])', 'growth of a counter over the window'],
  irate: ['irate(v[5m])', 'growth a second by the last two samples'],
  label_join: ['label_join(v, "new", "-", "a", "b")', 'a label made of others'],
  label_replace: ['label_replace(v, "new", "$1", "old", "(.*)")', 'a label made from a part of another'],
  last_over_time: ['last_over_time(v[5m])', 'newest sample of the window'],
  ln: ['ln(v)', 'natural logarithm'],
  log10: ['log10(v)', 'decimal logarithm'],
  log2: ['log2(v)', 'binary logarithm'],
  max_over_time: ['max_over_time(v[5m])', 'greatest of the window'],
  min_over_time: ['min_over_time(v[5m])', 'least of the window'],
  minute: ['minute(v)', 'minute of the hour in UTC'],
  predict_linear: ['predict_linear(v[1h], 4 * 3600)', 'value so many seconds from now if it goes on like this'],
  present_over_time: ['present_over_time(v[5m])', '1 when there was a sample in the window'],
  quantile_over_time: ['quantile_over_time(0.95, v[5m])', 'quantile of the window'],
  rate: ['rate(v[1m])', 'growth of a counter a second, over the window'],
  resets: ['resets(v[1h])', 'how often a counter began again'],
  round: ['round(v, 0.1)', 'rounded to a multiple'],
  scalar: ['scalar(v)', 'the one element as a number'],
  sort: ['sort(v)', 'smallest first'],
  sort_desc: ['sort_desc(v)', 'largest first'],
  sqrt: ['sqrt(v)', 'square root'],
  stddev_over_time: ['stddev_over_time(v[5m])', 'standard deviation of the window'],
  sum_over_time: ['sum_over_time(v[5m])', 'sum of the window'],
  time: ['time()', 'seconds since 1970'],
  timestamp: ['timestamp(v)', 'when each sample was taken'],
  vector: ['vector(1)', 'a number as a vector'],
};

export const WORDS = {
  by: 'keep only these labels', without: 'drop these labels', on: 'match by these labels only', ignoring: 'match by all other labels',
  group_left: 'many on the left for one on the right', group_right: 'many on the right for one on the left', offset: 'as it was so long ago',
  bool: '0 or 1 instead of filtering', and: 'those that are in both', or: 'those of the left, then those of the right', unless: 'those that are not on the right',
};

export const AGGREGATION_HELP = {
  sum: 'sum of all', avg: 'mean of all', min: 'least of all', max: 'greatest of all', count: 'how many', group: '1 for each group', topk: 'the k greatest', bottomk: 'the k least',
  quantile: 'quantile over all', stddev: 'standard deviation', stdvar: 'variance', count_values: 'how many of each value', limitk: 'any k of them', limit_ratio: 'a share of them',
};

export const DURATIONS = ['1m', '5m', '10m', '15m', '30m', '1h', '6h', '1d'];
