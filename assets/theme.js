// Runs before the first paint, so that no page flashes in the wrong colours. Kept in step with parts/theme.js.
(() => {
  let theme = 'system';
  try {
    theme = localStorage.getItem('securemq.theme') || theme;
  } catch {
    // Storage may be forbidden; the system's theme is right then.
  }
  document.documentElement.dataset.theme = theme;
})();
