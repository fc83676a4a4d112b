//! How both daemons start, report and stop.
//!
//! Reading order: [`config`] and [`secret`] say what to do, [`auth`] and [`tls`] who may ask, [`logging`] what is
//! said, [`tasks`] and [`shutdown`] how it ends; [`serve`] and [`admin`] answer HTTP, [`http_client`] asks,
//! [`backoff`] says when to ask again, [`clock`] what time it is.

pub mod admin;
pub mod auth;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod http_client;
pub mod logging;
pub mod secret;
pub mod serve;
pub mod shutdown;
pub mod tasks;
pub mod tls;
