//! The command `yagura`: both daemons on this machine, and clients of the collector's API.

mod args;
mod client;
mod commands;
mod duration;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    match args.command {
        Command::Up(up) => commands::up::run(up),
        Command::Logs(logs) => client_command(commands::logs::run(logs)),
        Command::Query(query) => client_command(commands::query::run(query)),
        Command::Top(top) => client_command(commands::top::run(top)),
        Command::Alerts(alerts) => client_command(commands::alerts::run(alerts)),
        Command::Checks(checks) => client_command(commands::checks::run(checks)),
        Command::Agents(agents) => client_command(commands::agents::run(agents)),
    }
}

/// Runs a command that asks a collector; what went wrong is one line on standard error.
fn client_command(command: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(command) {
        Ok(()) => ExitCode::SUCCESS,
        // `yagura logs | head` is no failure
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

#[expect(clippy::print_stderr, reason = "this is where a person reads what went wrong")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("yagura: {error:#}");
    ExitCode::FAILURE
}
