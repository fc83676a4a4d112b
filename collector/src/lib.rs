//! The central daemon: receive → store → query → rules → notify.

pub mod api;
pub mod app;
pub mod config;
pub mod storage;
pub mod web;
