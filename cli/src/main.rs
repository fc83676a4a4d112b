//! The command `yagura`: both daemons on this machine, and clients of the collector's API.

fn main() {}
