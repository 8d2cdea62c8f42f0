/*
 * The Lovász extension f of the Jaccard loss for a few pixels, its exact prox, and pooling in the order of x.
 *
 * Pure mathematics in double precision: no document is needed, so that a test, a worker or Node can load it too.
 * A *problem* is { x, foreground, gamma, hinge }: margins, booleans that tell the foreground, the step, and
 * whether the function is the hinge f∘max(·, 0) instead of f. P counts the foreground; a and b count
 * foreground and background pixels of a set. docs/algorithm.md explains the algorithm.
 */
"use strict";

globalThis.lovasz = (() => {
  const count = (flags) => flags.filter(Boolean).length;
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const dot = (u, v) => sum(u.map((entry, i) => entry * v[i]));

  /** Indices that satisfy `keep`, by decreasing x; ties stay in the order of the indices. */
  const decreasing = (x, keep) => [...x.keys()].filter(keep).sort((i, j) => x[j] - x[i] || i - j);

  /** The Jaccard loss of a set of a foreground and b background pixels. */
  const jaccard = (P, a, b) => (a + b === 0 ? 0 : (a + b) / (P + b));

  /**
   * Value and greedy vector of f, or of the hinge, at many points: nothing is allocated from point to point.
   *
   * `at(x)` returns the value and leaves the greedy vector in `greedy`.
   */
  function evaluator({ foreground, hinge }) {
    const n = foreground.length;
    const P = count(foreground);
    const order = new Array(n).fill(0);
    const greedy = new Array(n).fill(0);

    function at(x) {
      for (let i = 0; i < n; i++) {
        let k = i;
        while (k > 0 && x[order[k - 1]] < x[i]) {
          order[k] = order[k - 1];
          k--;
        }
        order[k] = i;
      }
      let value = 0;
      let a = 0;
      let b = 0;
      for (const i of order) {
        if (hinge && x[i] <= 0) {
          greedy[i] = 0;
        } else if (foreground[i]) {
          greedy[i] = 1 / (P + b);
          a++;
        } else {
          greedy[i] = P + b === 0 ? 1 : (P - a) / ((P + b) * (P + b + 1));
          b++;
        }
        value += greedy[i] * x[i];
      }
      return value;
    }
    return { at, greedy };
  }

  /** f(z), or the hinge at z. */
  const value = (problem, z) => evaluator(problem).at(z);

  /** The greedy vector at z: a subgradient, and a vertex of the base polytope. */
  function greedy(problem, z) {
    const here = evaluator(problem);
    here.at(z);
    return here.greedy;
  }

  /** ½‖z − x‖² + γ f(z), what the prox minimises. */
  const objective = (problem, z) =>
    0.5 * sum(z.map((entry, i) => (entry - problem.x[i]) ** 2)) + problem.gamma * value(problem, z);

  /** Increase of the Jaccard loss when foreground (a0, a1] and background (b0, b1] join; nothing cancels. */
  function increment(P, a0, a1, b0, b1) {
    if (P === 0) return b0 === 0 && b1 > 0 ? 1 : 0;
    return (a1 - a0) / (P + b1) + ((P - a0) * (b1 - b0)) / ((P + b0) * (P + b1));
  }

  /**
   * The pool of the background ranks (b0, b1]: its value t, and the foreground ranks (a0, a1] that it holds.
   *
   * With b background pixels above it, a foreground pixel pays c_b = γ/(P + b). The pool holds the foreground
   * with t + c_b1 < x ≤ t + c_b0, and t is the root of an increasing, piecewise linear function. It is sought
   * from above, piece by piece, and found once the root of a piece lies in that piece.
   */
  function poolOf(xf, xb, gamma, b0, b1) {
    const P = xf.length;
    const costAbove = gamma / (P + b0);
    const costBelow = gamma / (P + b1);
    let a0 = 0;
    let a1 = 0;
    let total = sum(xb.slice(b0, b1));
    for (;;) {
      const t = (total - gamma * increment(P, a0, a1, b0, b1)) / (a1 - a0 + b1 - b0);
      const joins = a1 < P ? xf[a1] - costBelow : -Infinity;
      const leaves = a0 < P ? xf[a0] - costAbove : -Infinity;
      if (t >= Math.max(joins, leaves)) return { t, a0, a1, b0, b1 };
      if (joins >= leaves) total += xf[a1++];
      else total -= xf[a0++];
    }
  }

  /** Generalised pool-adjacent-violators over the background ranks: pools of decreasing value. */
  function backgroundPools(xf, xb, gamma) {
    const pools = [];
    for (let b = 0; b < xb.length; b++) {
      let pool = poolOf(xf, xb, gamma, b, b + 1);
      while (pools.length > 0 && pools.at(-1).t < pool.t) {
        pool = poolOf(xf, xb, gamma, pools.pop().b0, b + 1);
      }
      pools.push(pool);
    }
    return pools;
  }

  /** The prox of f by pools of the background and one sweep over the foreground. */
  function proxOfExtension({ x, foreground, gamma }) {
    const fg = decreasing(x, (i) => foreground[i]);
    const bg = decreasing(x, (i) => !foreground[i]);
    const P = fg.length;
    const z = new Array(x.length).fill(0);
    const pools = [];
    let a = 0;
    let above = Infinity;

    /** Foreground that lands between two pools: each pixel pays for the background above it. */
    function alone(stop, b, below) {
      for (; a < stop; a++) {
        // Rounding must not lift it above or below the pools that it lies between.
        z[fg[a]] = Math.min(Math.max(x[fg[a]] - gamma / (P + b), below), above);
        pools.push([fg[a]]);
      }
    }

    const entries = (pixels) => pixels.map((i) => x[i]);
    for (const { t, a0, a1, b0, b1 } of backgroundPools(entries(fg), entries(bg), gamma)) {
      alone(a0, b0, t);
      const pool = [...fg.slice(a, a1), ...bg.slice(b0, b1)];
      for (const i of pool) z[i] = t;
      pools.push(pool);
      a = Math.max(a, a1);
      above = t;
    }
    alone(P, bg.length, -Infinity);
    return { z, pools };
  }

  /** Pooling in the order of x: the prox only where that order is kept. */
  function pooledInOrder(problem) {
    const { x, gamma } = problem;
    const pull = greedy({ ...problem, hinge: false }, x);
    const pools = [];
    for (const i of decreasing(x, () => true)) {
      let pool = { t: x[i] - gamma * pull[i], pixels: [i] };
      while (pools.length > 0 && pools.at(-1).t < pool.t) {
        const before = pools.pop();
        const [m, n] = [before.pixels.length, pool.pixels.length];
        pool = { t: (m * before.t + n * pool.t) / (m + n), pixels: [...before.pixels, ...pool.pixels] };
      }
      pools.push(pool);
    }
    const z = new Array(x.length).fill(0);
    for (const { t, pixels } of pools) for (const i of pixels) z[i] = t;
    return { z, pools: pools.map((pool) => pool.pixels) };
  }

  /** The prox of f∘max(·, 0) is max(prox of f, min(x, 0)), for f is non-decreasing. Pools end at 0. */
  function thresholded({ x, hinge }, { z, pools }) {
    if (!hinge) return { z, pools };
    return {
      z: z.map((entry, i) => Math.max(entry, Math.min(x[i], 0))),
      pools: pools.flatMap((pool) => (z[pool[0]] > 0 ? [pool] : pool.map((i) => [i]))),
    };
  }

  /** The proximal point argmin ½‖z − x‖² + γ f(z): { z, pools }, pools as lists of pixels. */
  const prox = (problem) => thresholded(problem, proxOfExtension(problem));

  /** What pooling in the order of x gives for the same problem. */
  const proxInOrder = (problem) => thresholded(problem, pooledInOrder(problem));

  /** The dual point that belongs to z: w = (x − z)/γ. */
  const residual = ({ x, gamma }, z) => z.map((entry, i) => (x[i] - entry) / gamma);

  /**
   * ½‖z − x + γw‖² + γ (f(z) − ⟨w, z⟩): the objective at z minus the dual value of w.
   *
   * It bounds the error of z if w is in the base polytope; see `violation`.
   */
  function gap(problem, z, w) {
    const { x, gamma } = problem;
    const miss = z.map((entry, i) => entry - x[i] + gamma * w[i]);
    return 0.5 * dot(miss, miss) + gamma * (value(problem, z) - dot(w, z));
  }

  /**
   * The largest violation of a constraint by w, over all sets of pixels, and such a set: { excess, pixels }.
   *
   * f: w(A) ≤ Δ(A) for all A, with equality for all pixels. Hinge: w(A) ≤ Δ(A), and w ≥ 0.
   */
  function violation({ foreground, hinge }, w) {
    const n = w.length;
    const P = count(foreground);
    const bg = decreasing(w, (i) => !foreground[i]);
    let worst = { excess: 0, pixels: [] };
    const consider = (excess, pixels) => {
      if (excess > worst.excess) worst = { excess, pixels };
    };
    for (let b = 0; b <= n - P; b++) {
      // Each foreground pixel adds 1/(P + b) to Δ, so the worst are those that weigh more.
      const fg = [...w.keys()].filter((i) => foreground[i] && w[i] * (P + b) > 1);
      const pixels = [...fg, ...bg.slice(0, b)];
      consider(sum(pixels.map((i) => w[i])) - jaccard(P, fg.length, b), pixels);
    }
    if (hinge) w.forEach((entry, i) => consider(-entry, [i]));
    else consider(jaccard(P, P, n - P) - sum(w), [...w.keys()]);
    return worst;
  }

  /** Pairs [i, j]: foreground i starts above background j and ends below it. */
  function fallen({ x, foreground }, z) {
    const all = [...x.keys()];
    return all
      .filter((i) => foreground[i])
      .flatMap((i) => all.filter((j) => !foreground[j] && x[i] > x[j] && z[i] < z[j]).map((j) => [i, j]));
  }

  /** Pixels that the hinge holds at 0. */
  const atZero = ({ x, hinge }, z) => [...x.keys()].filter((i) => hinge && x[i] > 0 && z[i] <= 0);

  const within = (pool, pools) => pools.some((other) => pool.every((i) => other.includes(i)));
  const sorted = (pixels) => [...pixels].sort((i, j) => i - j);

  /**
   * The paths γ ↦ z(γ) of both methods on [0, gammaMax], and what happens to the pixels along the exact one.
   *
   * Returns { gammas, exact, inOrder, events }: both paths hold a z for every gamma, which include those of the
   * events, so that straight lines between them are the paths. An event is { gamma, z, merged, split,
   * fallen, zeros }: the new pools, the pools that are no more, and the pixels that have fallen, and the zeros.
   * The number of samples is prime: at the round steps where things happen in examples, none should lie.
   */
  function sweep(problem, gammaMax, samples = 211) {
    const solve = (gamma) => {
      const step = { ...problem, gamma };
      const { z, pools } = prox(step);
      const state = {
        pools: pools.filter((pool) => pool.length > 1).map(sorted),
        fallen: fallen(step, z),
        zeros: atZero(step, z),
      };
      return { gamma, z, ...state, key: JSON.stringify(state) };
    };
    const apart = 1e-9 * gammaMax;
    const events = [];
    const path = [];
    let here = solve(apart);
    for (let k = 1; k <= samples; k++) {
      const next = solve((gammaMax * k) / samples);
      while (here.key !== next.key && next.gamma - here.gamma > 4 * apart) {
        let [left, right] = [here, next];
        while (right.gamma - left.gamma > apart) {
          const middle = solve((left.gamma + right.gamma) / 2);
          if (middle.key === here.key) left = middle;
          else right = middle;
        }
        // A little further on, where what happens at once has all happened: pixels that part differ only then.
        right = solve(Math.min(right.gamma + 2 * apart, next.gamma));
        const isNew = (list, old) => list.filter((item) => !old.some((one) => `${one}` === `${item}`));
        events.push({
          gamma: right.gamma,
          z: right.z,
          merged: right.pools.filter((pool) => !within(pool, left.pools)),
          split: left.pools.filter((pool) => !within(pool, right.pools) && pool.some((i) => right.z[i] !== 0)),
          fallen: isNew(right.fallen, left.fallen),
          zeros: isNew(right.zeros, left.zeros),
        });
        path.push(right);
        here = right;
      }
      path.push(next);
      here = next;
    }
    const gammas = [0, ...path.map(({ gamma }) => gamma)];
    return {
      gammas,
      exact: [problem.x, ...path.map(({ z }) => z)],
      inOrder: gammas.map((gamma) => (gamma > 0 ? proxInOrder({ ...problem, gamma }).z : problem.x)),
      events,
    };
  }

  return Object.freeze({
    evaluator, value, greedy, objective, prox, proxInOrder, residual, gap, violation, fallen, atZero, sweep,
  });
})();
