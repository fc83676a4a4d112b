//! `yagura-agent`: arguments and exit codes, nothing else.
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "what is said before there is a log goes to the terminal"
)]

use std::{
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, ExitCode},
};

use clap::Parser;
use yagura_agent::{app, config::Config};
use yagura_daemon::{config, http_client::causes, logging, shutdown};

/// Set for the process that does the work, with the allocator settings it was started with.
const SETTLED: &str = "YAGURA_ALLOCATOR_SET";
/// glibc's allocator keeps what a burst needed unless it is told not to: few arenas, and large blocks on their own.
const ALLOCATOR: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")];
/// Enough for a node; each blocking thread may hold a compressor.
const WORKERS: usize = 2;
/// Most threads for what blocks: scrapes, compression, the disk.
const BLOCKING: usize = 16;

const EXAMPLES: &str = "Examples:
  yagura-agent                                   watch this machine, pages on http://127.0.0.1:7401
  yagura-agent --config /etc/yagura/agent.yaml   the same, told how
  yagura-agent --config agent.yaml --check-config";

/// Watches one machine: its figures, its containers and their logs.
#[derive(Debug, Parser)]
#[command(name = "yagura-agent", version, after_help = EXAMPLES)]
struct Arguments {
    /// The config; everything has a default without one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Reads the config, says what is wrong with it, and ends.
    #[arg(long)]
    check_config: bool,
    /// Lets the pages listen to other machines without token and TLS.
    #[arg(long)]
    insecure: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    settle_allocator();
    let config = match load(&arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(config::EXIT_CODE);
        }
    };
    if arguments.check_config {
        println!("the config is good");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = logging::init(&config.log) {
        eprintln!("{error}");
        return ExitCode::from(config::EXIT_CODE);
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = causes(error.as_ref()), "the agent ends");
            ExitCode::FAILURE
        }
    }
}

/// Starts this program anew with the allocator's settings, which it reads before `main`. Where that is not possible
/// it goes on without them.
fn settle_allocator() {
    if std::env::var_os(SETTLED).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let unset = ALLOCATOR.into_iter().filter(|(name, _)| std::env::var_os(name).is_none());
    let error = Command::new(program).args(std::env::args_os().skip(1)).envs(unset).env(SETTLED, "1").exec();
    eprintln!("goes on without allocator settings: {error}");
}

fn load(arguments: &Arguments) -> Result<Config, config::ConfigError> {
    let (insecure, defaults) = (arguments.insecure, "insecure: true");
    let Some(path) = &arguments.config else {
        return config::parse("defaults", if insecure { defaults } else { "" }, &config::environment());
    };
    config::load_with(path, |config: &mut Config| config.insecure |= insecure)
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_name("yagura-agent")
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stop = shutdown::on_signal()?;
        app::run(config, stop).await
    })
}
