/* Draws the page's charts from the JSON beside them, in the colours of the reader's theme. */
(function () {
  'use strict';
  var dark = window.matchMedia('(prefers-color-scheme: dark)');
  var charts = [];
  /* Okabe and Ito's colours, darkened on white and lightened on black for contrast. */
  var palettes = {
    light: ['#0059a8', '#b34700', '#00704e', '#8f3f78', '#7a6000', '#1b6f99', '#444444', '#a3123a'],
    dark: ['#6cb6ff', '#ffa657', '#56d4a5', '#e39ad0', '#e8d44d', '#7fd3f7', '#c5ccd3', '#ff8fa8']
  };
  var points = ['circle', 'rect', 'triangle', 'rectRot', 'cross', 'star'];
  var dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3]];

  function style(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  /* Whiskers from low to high; Chart.js has none of its own. */
  var whiskers = {
    id: 'whiskers',
    afterDatasetsDraw: function (chart) {
      var pen = chart.ctx;
      chart.data.datasets.forEach(function (set, s) {
        var meta = chart.getDatasetMeta(s);
        if (!set.low || !set.high || meta.hidden || !chart.isDatasetVisible(s)) return;
        pen.save();
        pen.strokeStyle = set.whisker;
        pen.lineWidth = 1.5;
        meta.data.forEach(function (mark, i) {
          if (set.low[i] === null || set.high[i] === null || set.low[i] === undefined) return;
          var scale = chart.scales[meta.yAxisID];
          var low = scale.getPixelForValue(set.low[i]), high = scale.getPixelForValue(set.high[i]);
          pen.beginPath();
          pen.moveTo(mark.x, low);
          pen.lineTo(mark.x, high);
          [low, high].forEach(function (y) {
            pen.moveTo(mark.x - 4, y);
            pen.lineTo(mark.x + 4, y);
          });
          pen.stroke();
        });
        pen.restore();
      });
    }
  };

  function dataset(data, series, i, paper) {
    var colours = palettes[dark.matches && !paper ? 'dark' : 'light'];
    var colour = colours[i % colours.length];
    var bar = data.kind === 'bar';
    var many = series.y.length > 60;
    return {
      label: series.name,
      data: bar ? series.y : series.y.map(function (y, k) { return {x: series.x[k], y: y}; }),
      low: series.low, high: series.high, whisker: bar ? style('--ink') : colour,
      borderColor: colour, backgroundColor: bar ? colour : colour + (data.kind === 'scatter' ? '99' : ''),
      borderWidth: bar ? 0 : 2, borderDash: data.kind === 'line' ? dashes[Math.floor(i / 2) % dashes.length] : [],
      pointStyle: points[i % points.length], pointRadius: data.kind === 'line' && many ? 0 : 4,
      showLine: data.kind !== 'scatter', spanGaps: false, tension: 0
    };
  }

  function axis(text, log, least, most) {
    var ink = style('--ink');
    var scale = {
      type: log ? 'logarithmic' : 'linear', title: {display: !!text, text: text, color: ink},
      ticks: {color: ink}, grid: {color: style('--rule')}
    };
    if (least !== undefined) { scale.min = least; scale.max = most; }
    return scale;
  }

  function config(data, paper) {
    var sets = data.series.map(function (s, i) { return dataset(data, s, i, paper); });
    var unit = data.kind === 'reliability';
    if (unit) sets.push({
      label: 'perfectly calibrated', data: [{x: 0, y: 0}, {x: 1, y: 1}], borderColor: style('--faint'),
      borderDash: [6, 6], borderWidth: 1.5, pointRadius: 0, showLine: true
    });
    var x = data.kind === 'bar' ? {
      title: {display: !!data.xLabel, text: data.xLabel, color: style('--ink')},
      ticks: {color: style('--ink'), autoSkip: false, maxRotation: 60}, grid: {display: false}
    } : axis(data.xLabel, data.logX, unit ? 0 : undefined, unit ? 1 : undefined);
    var y = axis(data.yLabel, data.logY, unit ? 0 : data.yMin, unit ? 1 : data.yMax);
    if (data.kind === 'bar' && data.yMin === undefined) y.beginAtZero = true;
    if (!unit && data.yMin === undefined) { /* room for whiskers, which Chart.js does not know of */
      var ends = [];
      sets.forEach(function (s) { ends = ends.concat(s.low || [], s.high || []); });
      ends = ends.filter(function (v) { return typeof v === 'number'; });
      if (ends.length) {
        y.suggestedMin = Math.min.apply(null, ends);
        y.suggestedMax = Math.max.apply(null, ends);
      }
    }
    return {
      type: data.kind === 'bar' ? 'bar' : data.kind === 'scatter' ? 'scatter' : 'line',
      data: {labels: data.kind === 'bar' ? data.labels : undefined, datasets: sets},
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: true,
        scales: {x: x, y: y},
        plugins: {
          legend: {display: sets.length > 1, labels: {color: style('--ink'), usePointStyle: true}},
          tooltip: {callbacks: {afterLabel: function (at) {
            var set = at.dataset, i = at.dataIndex;
            return set.low && set.low[i] !== null ? 'interval ' + set.low[i] + ' to ' + set.high[i] : undefined;
          }}}
        }
      },
      plugins: [whiskers]
    };
  }

  function draw(paper) {
    if (!window.Chart) return;
    charts.forEach(function (chart) { chart.destroy(); });
    charts = [];
    document.querySelectorAll('figure.chart').forEach(function (figure) {
      var source = figure.querySelector('script[type="application/json"]');
      var canvas = figure.querySelector('canvas');
      if (source && canvas) charts.push(new window.Chart(canvas, config(JSON.parse(source.textContent), paper)));
    });
    document.documentElement.setAttribute('data-charts', String(charts.length));
  }

  var closed = [];
  window.addEventListener('beforeprint', function () {
    closed = Array.prototype.filter.call(document.querySelectorAll('details'), function (d) { return !d.open; });
    closed.forEach(function (d) { d.open = true; });
    draw(true);
  });
  window.addEventListener('afterprint', function () {
    closed.forEach(function (d) { d.open = false; });
    draw(false);
  });
  if (dark.addEventListener) dark.addEventListener('change', function () { draw(false); });
  draw(false);
}());
