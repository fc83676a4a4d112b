//! The central daemon: receive → store → query → rules → notify.

pub mod storage;
