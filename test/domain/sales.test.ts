import { DAY_MS, dailyAverage } from '../../domain/sales';

test.each([
  [30, 30, 90 * DAY_MS, 1],
  [30, 30, 30 * DAY_MS, 1],
  // Sold for ten whole days only.
  [30, 30, 10 * DAY_MS, 3],
  [30, 30, 11 * DAY_MS - 1, 3],
  [30, 3, 10 * DAY_MS, 10],
  // At least one day, and nothing was ever sold.
  [5, 7, 1_000, 5],
  [0, 7, null, 0],
])('%d units in %d days, first sold %p ms ago, are %d a day', (units, days, since, average) => {
  expect(dailyAverage(units, days, since)).toBe(average);
});
