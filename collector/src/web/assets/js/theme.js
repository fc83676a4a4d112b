// Runs before anything is painted, so that a chosen theme does not flash the other one. Not a module: modules wait.
(function () {
  try {
    var theme = localStorage.getItem('yagura.theme');
    if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
    if (localStorage.getItem('yagura.rail') === 'wide') document.documentElement.dataset.rail = 'wide';
  } catch (refused) {
    // Storage can be forbidden; the system's theme is then the one.
  }
})();
