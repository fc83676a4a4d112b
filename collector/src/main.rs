//! `yagura-collector`: arguments and exit codes, nothing else.
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "what is said before there is a log goes to the terminal"
)]

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use yagura_collector::{
    app::{Collector, StartError},
    config::Config,
};
use yagura_daemon::{
    config::{self, environment},
    http_client::causes,
    logging, shutdown,
};

const EXAMPLES: &str = "Examples:
  yagura-collector                                       data in /var/lib/yagura/collector, UI on http://127.0.0.1:7400
  yagura-collector --config /etc/yagura/collector.yaml   the same, told how
  yagura-collector --config collector.yaml --check-config
  YAGURA_SLACK_WEBHOOK=https://hooks.slack.com/… yagura-collector   and tell a Slack channel";

/// Takes what agents send, keeps it, answers queries, evaluates rules, runs checks, tells people.
#[derive(Debug, Parser)]
#[command(name = "yagura-collector", version, after_help = EXAMPLES)]
struct Arguments {
    /// The config; everything has a default without one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Reads the config and every file it names, says what is wrong, and ends.
    #[arg(long)]
    check_config: bool,
    /// Listens to other machines without token and TLS.
    #[arg(long)]
    insecure: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match load(&arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(config::EXIT_CODE);
        }
    };
    if arguments.check_config {
        return check(&config);
    }
    if let Err(error) = logging::init(&config.log) {
        eprintln!("{error}");
        return ExitCode::from(config::EXIT_CODE);
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(StartError::Files(_)) = error.downcast_ref() {
                eprintln!("{error}");
                return ExitCode::from(config::EXIT_CODE);
            }
            tracing::error!(error = causes(error.as_ref()), "the collector ends");
            ExitCode::FAILURE
        }
    }
}

fn load(arguments: &Arguments) -> Result<Config, config::ConfigError> {
    let insecure = arguments.insecure;
    match &arguments.config {
        Some(path) => config::load_with(path, |config: &mut Config| config.insecure |= insecure),
        None => Ok(Config { insecure, ..Config::default() }),
    }
}

fn check(config: &Config) -> ExitCode {
    match config.read_files(&environment()) {
        Ok(files) => {
            let rules: usize = files.rules.iter().map(|group| group.rules.len()).sum();
            let (receivers, checks) = (files.notify.receivers.len(), files.checks.len());
            println!("the config is good: {rules} rules, {receivers} receivers, {checks} checks");
            ExitCode::SUCCESS
        }
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("{error}"));
            ExitCode::from(config::EXIT_CODE)
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = shutdown::on_signal()?;
        let collector = Collector::start(config).await?;
        println!("yagura-collector {}: {}", env!("CARGO_PKG_VERSION"), collector.url());
        if let Some(login) = collector.login_url() {
            println!("to log in from elsewhere: {login}");
        }
        collector.run(stop).await
    })
}
