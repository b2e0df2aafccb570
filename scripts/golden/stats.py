#!/usr/bin/env python3
"""Writes tests/golden/eval/stats.json: random vectors with ties, constants, NaN and single elements, and what
NumPy, SciPy, scikit-learn and statsmodels say about them. null is NaN, in vectors and in expectations.

  stats.py OUTFILE
"""

import itertools
import json
import sys
import warnings

import numpy as np
import scipy
import scipy.stats as st
import sklearn
import sklearn.metrics as skm
import statsmodels
import statsmodels.api as sm
from sklearn.calibration import calibration_curve
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_sample_size_one_tail
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20251125)


def clean(value):
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [clean(v) for v in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer, str)):
        return value if isinstance(value, str) else int(value)
    return float(value) if np.isfinite(value) else None


# ---- two lists -----------------------------------------------------------------------------


def partial(x, y, z):
    if len(x) < 3:
        return np.nan
    a = np.column_stack([np.ones(len(z)), z])
    rx = x - a @ np.linalg.lstsq(a, x, rcond=None)[0]
    ry = y - a @ np.linalg.lstsq(a, y, rcond=None)[0]
    if min(np.ptp(x), np.ptp(y), np.ptp(z)) == 0 or min((rx**2).sum(), (ry**2).sum()) < 1e-10:
        return np.nan
    return np.corrcoef(rx, ry)[0, 1]


def tau_a(x, y):
    n = len(x)
    s = sum(np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i in range(n) for j in range(i))
    return s / (n * (n - 1) / 2)


def pair_case(name, x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    z = rng.normal(size=len(x))
    n = len(x)
    bad = n < 2 or not (np.isfinite(x).all() and np.isfinite(y).all())
    flat = not bad and (np.ptp(x) == 0 or np.ptp(y) == 0)
    e = {}
    e["pearson"] = np.nan if bad or flat else st.pearsonr(x, y).statistic
    e["spearman"] = np.nan if bad or flat else st.spearmanr(x, y).statistic
    e["tau_a"] = np.nan if bad else tau_a(x, y)
    e["tau_b"] = np.nan if bad or flat else st.kendalltau(x, y, variant="b").statistic
    e["tau_c"] = np.nan if bad or flat else st.kendalltau(x, y, variant="c").statistic
    e["partial"] = np.nan if bad or flat else partial(x, y, z)
    e["mean"] = np.mean(x) if n and np.isfinite(x).all() else np.nan
    e["sd"] = np.std(x, ddof=1) if n > 1 and np.isfinite(x).all() else np.nan
    both = n > 0 and np.isfinite(x).all() and np.isfinite(y).all()
    e["mae"] = skm.mean_absolute_error(y, x) if both else np.nan
    e["bias"] = np.mean(x - y) if both else np.nan
    e["wasserstein"] = st.wasserstein_distance(x, y) if both else np.nan
    sxy = np.sum((x - x.mean()) * (y - y.mean())) if both else np.nan
    below = np.sum((x - x.mean()) ** 2) + np.sum((y - y.mean()) ** 2) + n * (x.mean() - y.mean()) ** 2 if both else 0
    e["concordance"] = 2 * sxy / below if not bad and below > 0 else np.nan
    e["ranks"] = st.rankdata(x) if n and np.isfinite(x).all() else []
    if not bad and not flat and n >= 5:
        ci = st.pearsonr(x, y).confidence_interval(0.9)
        e["pearson_interval"] = [ci.low, ci.high]
    return {"name": name, "x": x, "y": y, "z": z, "expect": e}


def pairs():
    cases = [
        pair_case("empty", [], []),
        pair_case("single", [3], [4]),
        pair_case("two", [1, 2], [5, 3]),
        pair_case("constant x", [2, 2, 2, 2], [1, 2, 3, 4]),
        pair_case("constant y", [1, 2, 3, 4], [2, 2, 2, 2]),
        pair_case("both constant", [2, 2, 2], [2, 2, 2]),
        pair_case("nan", [1, np.nan, 3], [1, 2, 3]),
        pair_case("infinite", [1, np.inf, 3], [1, 2, 3]),
        pair_case("specification", [1, 2, 2, 3], [1, 3, 2, 4]),
        pair_case("perfect", np.arange(9), 2 * np.arange(9) + 1),
        pair_case("reversed", np.arange(9), -np.arange(9)),
        pair_case("far from zero", 1e9 + np.arange(12) % 5, rng.normal(size=12)),
        pair_case("tiny spread", 1 + 1e-9 * rng.normal(size=20), rng.normal(size=20)),
    ]
    for n in (3, 7, 16, 17, 64, 100, 257):
        x = rng.normal(size=n)
        cases.append(pair_case(f"continuous {n}", x, 0.5 * x + rng.normal(size=n)))
        s = rng.integers(1, 6, size=n)
        cases.append(pair_case(f"stars {n}", s, np.clip(s + rng.integers(-1, 2, size=n), 1, 5)))
        cases.append(pair_case(f"binary {n}", rng.integers(0, 2, size=n), rng.integers(0, 3, size=n)))
    return cases


# ---- classes, probabilities ------------------------------------------------------------------


def labels():
    cases = []
    for k, n in ((2, 12), (3, 40), (5, 90), (10, 200)):
        a = rng.integers(0, k, size=n)
        b = np.where(rng.random(n) < 0.6, a, rng.integers(0, k, size=n))
        cases.append((k, a, b))
    cases.append((4, np.array([0, 0, 2, 2]), np.array([0, 1, 2, 3])))  # classes that truth lacks
    cases.append((3, np.array([1]), np.array([1])))
    cases.append((3, np.array([1, 1]), np.array([1, 1])))
    cases.append((3, np.array([1]), np.array([2])))
    out = []
    for k, a, b in cases:
        kappa = lambda w: skm.cohen_kappa_score(a, b, labels=list(range(k)), weights=w)
        recalls = [np.mean(b[a == c] == c) for c in range(k) if (a == c).any()]
        assert len(set(b) - set(a)) > 0 or abs(np.mean(recalls) - skm.balanced_accuracy_score(a, b)) < 1e-12
        out.append({"k": k, "a": a, "b": b, "expect": {
            "accuracy": skm.accuracy_score(a, b), "macro": np.mean(recalls),
            "plain": kappa(None), "linear": kappa("linear"), "quadratic": kappa("quadratic")}})
    return out


def ece_mass(p, y, bins):
    order = np.argsort(p, kind="stable")
    total = 0
    for b in range(bins):
        part = order[int(b * len(p) / bins):int((b + 1) * len(p) / bins)]
        total += abs(y[part].sum() - p[part].sum())
    return total / len(p)


def ece_width(p, y, bins):
    true, mean = calibration_curve(y, p, n_bins=bins, strategy="uniform")
    edges = np.linspace(0, 1, bins + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], p), minlength=bins)
    return np.sum(counts[counts > 0] * np.abs(true - mean)) / len(p)


def probabilities():
    out = []
    for n, rounded in ((1, None), (2, None), (30, 1), (100, 2), (333, None), (50, 0)):
        p = rng.beta(2, 1, size=n)
        p = p if rounded is None else np.round(p, rounded)
        y = (rng.random(n) < p**1.5).astype(int)
        two = 0 < y.sum() < n
        out.append({"p": p, "y": y, "expect": {
            "brier": np.mean((p - y) ** 2) if not two else skm.brier_score_loss(y, p),
            "log_loss": skm.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15), labels=[0, 1]),
            "auroc": skm.roc_auc_score(y, p) if two else np.nan,
            "ece_width": ece_width(p, y, 10), "ece_mass": ece_mass(p, y, 10)}})
    return out


# ---- logistic, ranking -----------------------------------------------------------------------


def logistic():
    out = []
    for n, k, ties in ((20, 1, False), (80, 2, False), (150, 3, True), (60, 0, True)):
        x = rng.normal(size=(n, k))
        y = (rng.random(n) < 1 / (1 + np.exp(-0.3 - x.sum(1) * 0.7))).astype(float)
        if ties:
            y[rng.random(n) < 0.2] = 0.5
        design = np.column_stack([np.ones(n), x])
        fit = sm.GLM(y, design, family=sm.families.Binomial()).fit(tol=1e-14, maxiter=200)
        p = fit.fittedvalues
        out.append({"x": x, "k": k, "y": y, "expect": {
            "coef": fit.params, "error": np.sqrt(np.diag(np.linalg.inv((design.T * (p * (1 - p))) @ design))),
            "log_likelihood": np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))}})
        if not ties:
            logit = sm.Logit(y, design).fit(disp=0, tol=1e-12)
            assert np.allclose(logit.bse, out[-1]["expect"]["error"], rtol=1e-6)
    return out


def length_control():
    n = 120
    length, base = rng.integers(20, 400, size=n), rng.integers(20, 400, size=n)
    t = np.log(length / base)
    won = np.where(rng.random(n) < 0.1, 0.5, (rng.random(n) < 1 / (1 + np.exp(-0.2 - 0.9 * t))).astype(float))
    fit = sm.GLM(won, np.column_stack([np.ones(n), t]), family=sm.families.Binomial(), ).fit(tol=1e-14)
    cov = np.sqrt(np.diag(fit.cov_params()))
    b, s = fit.params, cov
    z = st.norm.ppf(0.975)
    sigma = lambda v: 1 / (1 + np.exp(-v))
    return {"won": won, "length": length, "baseline": base, "expect": {
        "raw": won.mean(), "controlled": sigma(b[0]), "slope": b[1],
        "controlled_interval": [sigma(b[0] - z * s[0]), sigma(b[0] + z * s[0])],
        "slope_interval": [b[1] - z * s[1], b[1] + z * s[1]]}}


def bradley_terry():
    out = []
    for players, n in ((2, 30), (5, 200), (9, 700)):
        strength = rng.normal(size=players)
        battles = []
        for _ in range(n):
            a, b = rng.choice(players, 2, replace=False)
            won = 0.5 if rng.random() < 0.15 else float(rng.random() < 1 / (1 + np.exp(strength[b] - strength[a])))
            battles.append((int(a), int(b), won, float(rng.choice([1, 3]))))
        a, b, won, weight = (np.array(v) for v in zip(*battles))
        x = np.zeros((n, players))
        x[np.arange(n), a.astype(int)] += 1
        x[np.arange(n), b.astype(int)] -= 1
        fit = sm.GLM(won, x[:, 1:], family=sm.families.Binomial(), freq_weights=weight).fit(tol=1e-14, maxiter=200)
        rating = 1000 + 400 / np.log(10) * np.concatenate([[0], fit.params])
        elo = np.full(players, 1000.0)
        for i, j, w, g in battles:
            move = 4 * g * (w - 1 / (1 + 10 ** ((elo[j] - elo[i]) / 400)))
            elo[i] += move
            elo[j] -= move
        p = 1 / (1 + np.exp(-(x[:, 1:] @ fit.params)))
        out.append({"players": players, "battles": battles, "expect": {
            "rating": rating, "elo": elo,
            "log_likelihood": np.sum(weight * (won * np.log(p) + (1 - won) * np.log(1 - p)))}})
    return out


# ---- tests -----------------------------------------------------------------------------------


def significance():
    wilson = [[s, n, level, *proportion_confint(s, n, 1 - level, "wilson")]
              for s, n, level in ((0, 10, 0.95), (10, 10, 0.95), (3, 10, 0.9), (250, 1000, 0.99), (1, 1, 0.95))]
    newcombe = [[s, n, t, m, *confint_proportions_2indep(s, n, t, m, method="newcomb", compare="diff")]
                for s, n, t, m in ((56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20), (5, 56, 0, 29))]
    mcn = []
    for b, c in ((1, 0), (3, 9), (12, 12), (10, 14), (5, 20), (40, 22), (100, 100), (300, 222)):
        exact = b + c < 25
        r = mcnemar([[50, b], [c, 50]], exact=exact, correction=True)
        mcn.append([b, c, exact, r.statistic, r.pvalue])
    holm = []
    for p in ([0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.2], [1e-9, 0.9, 0.02, 0.021, 0.3]):
        holm.append([p, multipletests(p, method="holm")[1]])
    flips = []
    for n in (5, 9, 12):
        a, b = rng.integers(1, 6, size=n), rng.integers(1, 6, size=n)
        p = st.permutation_test((a - b,), lambda d, axis: d.mean(axis=axis), permutation_type="samples",
                                vectorized=True, n_resamples=np.inf).pvalue
        flips.append([a, b, p])
    groups = []
    for n, m in ((4, 4), (6, 6), (3, 7), (5, 8)):
        x = np.round(rng.normal(size=n + m), 2)
        gaps = [np.mean(x[list(c)]) - np.mean(np.delete(x, list(c)))
                for c in itertools.combinations(range(n + m), n)]
        p = np.mean(np.abs(gaps) >= abs(gaps[0]) - 1e-12)
        if n == m:
            assert abs(p - st.permutation_test((x[:n], x[n:]), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
                                               vectorized=True, n_resamples=np.inf).pvalue) < 1e-12
        groups.append([x[:n], x[n:], p])
    power = []
    for mean, sd, alpha, beta in ((0.1, 1.0, 0.05, 0.8), (-0.02, 0.6, 0.01, 0.9), (2.0, 1.0, 0.05, 0.8)):
        n = normal_sample_size_one_tail(abs(mean), beta, alpha / 2, std_null=sd)
        power.append([mean, sd, alpha, beta, max(2, np.ceil(n))])
    power_mc = []
    for b, c, n in ((30, 20, 500), (12, 9, 100), (200, 100, 1250)):
        d, g = (b + c) / n, abs(b - c) / n
        need = normal_sample_size_one_tail(g, 0.8, 0.025, std_null=np.sqrt(d), std_alternative=np.sqrt(d - g * g))
        power_mc.append([b, c, n, np.ceil(need)])
    q = [1e-300, 1e-12, 1e-5, 0.02425, 0.3, 0.5, 0.9, 0.975, 1 - 1e-9]
    return {"wilson": wilson, "newcombe": newcombe, "mcnemar": mcn, "holm": holm, "flips": flips, "groups": groups,
            "power": power, "power_mcnemar": power_mc, "quantile": [q, st.norm.ppf(q)]}


# ---- bootstrap -------------------------------------------------------------------------------


def bootstrap():
    out = []
    n = 60
    x = rng.gamma(1.5, size=n)
    y = 0.6 * x + rng.normal(size=n)
    z = 0.4 * x + rng.normal(size=n)

    def r(a, b):
        a = a - a.mean(-1, keepdims=True)
        b = b - b.mean(-1, keepdims=True)
        return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))

    def spearman(a, b):
        return r(st.rankdata(a, axis=-1), st.rankdata(b, axis=-1))

    jobs = [("mean", (x,), lambda a, axis: a.mean(-1)), ("difference", (y, z), lambda a, b, axis: (a - b).mean(-1)),
            ("pearson", (y, x), lambda a, b, axis: r(a, b)),
            ("pearson difference", (y, z, x), lambda a, b, c, axis: r(a, c) - r(b, c)),
            ("spearman", (y, x), lambda a, b, axis: spearman(a, b))]
    for name, data, f in jobs:
        draws = 20000 if name == "spearman" else 100000
        e = {}
        for method in ("percentile", "BCa"):
            b = st.bootstrap(data, f, paired=True, vectorized=True, n_resamples=draws, method=method, batch=2000,
                             random_state=np.random.default_rng(7))
            e[method] = [b.confidence_interval.low, b.confidence_interval.high]
            e["error"] = b.standard_error
        out.append({"name": name, "draws": draws, "expect": e})
    cluster = np.repeat(np.arange(15), 4)
    sums, sizes = np.bincount(cluster, x), np.bincount(cluster)
    b = st.bootstrap((sums, sizes), lambda s, m, axis: s.sum(-1) / m.sum(-1), paired=True, vectorized=True,
                     n_resamples=100000, method="percentile", batch=2000, random_state=np.random.default_rng(7))
    out.append({"name": "clustered mean", "draws": 100000, "expect": {
        "percentile": [b.confidence_interval.low, b.confidence_interval.high], "error": b.standard_error}})
    return {"x": x, "y": y, "z": z, "cluster": cluster, "cases": out}


def make(path):
    golden = {"about": "scripts/golden/stats.py: " + ", ".join(
        f"{m.__name__} {m.__version__}" for m in (np, scipy, sklearn, statsmodels)),
        "pairs": pairs(), "labels": labels(), "probabilities": probabilities(), "logistic": logistic(),
        "length_control": length_control(), "bradley_terry": bradley_terry(), "significance": significance(),
        "bootstrap": bootstrap()}
    with open(path, "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(clean(v))}" for k, v in golden.items()) + "\n}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: stats.py OUTFILE")
    make(sys.argv[1])
