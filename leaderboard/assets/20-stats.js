// Statistics of the browser: t over subset means, Holm, ranks. The tests compare them with scipy and statsmodels.
"use strict";

BE.stats = (() => {
  const LANCZOS = [
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ];
  const ROUNDING = 1e-12;

  // Logarithm of the gamma function for x > 0 (Lanczos, g = 7).
  function logGamma(x) {
    if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
    let sum = LANCZOS[0];
    for (let i = 1; i < LANCZOS.length; i++) sum += LANCZOS[i] / (x - 1 + i);
    const t = x + 6.5;
    return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
  }

  // Continued fraction of the incomplete beta function (modified Lentz).
  function betaFraction(x, a, b) {
    const tiny = 1e-300;
    let c = 1;
    let d = 1 / (Math.abs(1 - ((a + b) * x) / (a + 1)) < tiny ? tiny : 1 - ((a + b) * x) / (a + 1));
    let result = d;
    for (let m = 1; m <= 500; m++) {
      for (const term of [
        (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
        (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
      ]) {
        d = 1 + term * d;
        c = 1 + term / c;
        if (Math.abs(d) < tiny) d = tiny;
        if (Math.abs(c) < tiny) c = tiny;
        d = 1 / d;
        result *= d * c;
      }
      if (Math.abs(d * c - 1) < 1e-16) break;
    }
    return result;
  }

  // Regularised incomplete beta function.
  function betaInc(x, a, b) {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
    return x < (a + 1) / (a + b + 2) ? (front * betaFraction(x, a, b)) / a : 1 - (front * betaFraction(1 - x, b, a)) / b;
  }

  // P(|T| >= |t|) with so many degrees of freedom.
  const tTwoSided = (t, freedom) => betaInc(freedom / (freedom + t * t), freedom / 2, 0.5);

  function bisect(f, low, high) {
    for (let i = 0; i < 200 && high - low > 1e-14 * Math.max(1, Math.abs(high)); i++) {
      const middle = (low + high) / 2;
      if (f(middle) > 0) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  // The t that |T| exceeds with probability 1 - level.
  function tCritical(level, freedom) {
    let high = 2;
    while (tTwoSided(high, freedom) > 1 - level) high *= 2;
    return bisect((t) => tTwoSided(t, freedom) - (1 - level), 0, high);
  }

  // P(Z <= x) of the standard normal distribution: series inside, continued fraction in the tails.
  function normalCdf(x) {
    const z = Math.abs(x);
    const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
    if (z > 38) return x < 0 ? 0 : 1;
    let upper;
    if (z < 3) {
      let term = z;
      let sum = z;
      for (let k = 1; term > 1e-17 * sum; k++) sum += term *= (z * z) / (2 * k + 1);
      upper = 0.5 - density * sum;
    } else {
      let tail = z;
      for (let k = 100; k >= 1; k--) tail = z + k / tail;
      upper = density / tail;
    }
    return x < 0 ? upper : 1 - upper;
  }

  // P(T <= t) of the noncentral t: the normal probability averaged over the root of chi-square by freedom (Simpson).
  function noncentralCdf(t, freedom, shift) {
    const width = 1 / Math.sqrt(2 * freedom);
    const low = Math.max(1e-12, 1 - 9 * width);
    const steps = 800;
    const step = (1 + 14 * width - low) / steps;
    const scale = Math.log(2) + (freedom / 2) * Math.log(freedom / 2) - logGamma(freedom / 2);
    let sum = 0;
    for (let i = 0; i <= steps; i++) {
      const root = low + i * step;
      const density = Math.exp(scale + (freedom - 1) * Math.log(root) - (freedom * root * root) / 2);
      sum += (i === 0 || i === steps ? 1 : i % 2 ? 4 : 2) * density * normalCdf(t * root - shift);
    }
    return (sum * step) / 3;
  }

  // Least true difference found with this power by a two-sided t test, in standard errors.
  const found = new Map();
  function detectable(freedom, level = 0.95, power = 0.8) {
    const key = `${freedom} ${level} ${power}`;
    if (!found.has(key)) {
      const critical = tCritical(level, freedom);
      found.set(key, bisect((shift) => noncentralCdf(critical, freedom, shift) - (1 - power), 0, 10 * critical + 10));
    }
    return found.get(key);
  }

  // t over the subsets' mean differences, as babyeval compare does it: subsets are what was replicated.
  function subsetTest(differences, level = 0.95) {
    const n = differences.length;
    const none = { difference: null, se: null, low: null, high: null, p: null, mde: null, clusters: n, note: null };
    if (n === 0) return { ...none, note: "no subsets in common" };
    if (!differences.every(Number.isFinite)) return { ...none, note: "a subset is undefined" };
    const mean = differences.reduce((a, b) => a + b, 0) / n;
    if (n === 1) return { ...none, difference: mean, note: "one subset has no standard error" };
    const squares = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0);
    const se = Math.sqrt(squares / (n - 1) / n);
    if (se <= ROUNDING * Math.max(...differences.map(Math.abs))) {
      return { ...none, difference: mean, note: "all subsets differ by the same" };
    }
    const half = tCritical(level, n - 1) * se;
    return {
      ...none, difference: mean, se, low: mean - half, high: mean + half,
      p: tTwoSided(mean / se, n - 1), mde: detectable(n - 1, level) * se,
    };
  }

  // Holm's adjusted p-values; null stays null and does not count in the family.
  function holm(values) {
    const there = values.map((p, i) => [p, i]).filter(([p]) => BE.isNumber(p)).sort((a, b) => a[0] - b[0]);
    const adjusted = values.map(() => null);
    let largest = 0;
    there.forEach(([p, i], rank) => {
      largest = Math.max(largest, Math.min(1, p * (there.length - rank)));
      adjusted[i] = largest;
    });
    return adjusted;
  }

  // Ranks from 1, equal values sharing their mean; NaN where there is no number.
  function ranks(values, higherIsBetter = true) {
    const order = values.map((_, i) => i).filter((i) => BE.isNumber(values[i]));
    order.sort((a, b) => (higherIsBetter ? values[b] - values[a] : values[a] - values[b]));
    const result = values.map(() => NaN);
    for (let i = 0; i < order.length; ) {
      let j = i;
      while (j < order.length && values[order[j]] === values[order[i]]) j++;
      for (let k = i; k < j; k++) result[order[k]] = (i + j + 1) / 2;
      i = j;
    }
    return result;
  }

  return { betaInc, detectable, holm, logGamma, noncentralCdf, normalCdf, ranks, subsetTest, tCritical, tTwoSided };
})();
