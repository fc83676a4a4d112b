//! The list of all files of the UI, built into the binary.

/// The page that loads everything; `@BUILD@` in it becomes the hash of [`FILES`].
pub(super) const INDEX: &[u8] = include_bytes!("assets/index.html");

/// Path below `/assets/<build>/`, and content.
pub(super) const FILES: &[(&str, &[u8])] = &[
    ("css/app.css", include_bytes!("assets/css/app.css")),
    ("vendor/uplot/uPlot.iife.min.js", include_bytes!("assets/vendor/uplot/uPlot.iife.min.js")),
    ("vendor/uplot/uPlot.min.css", include_bytes!("assets/vendor/uplot/uPlot.min.css")),
    ("vendor/uplot/LICENSE", include_bytes!("assets/vendor/uplot/LICENSE")),
];
