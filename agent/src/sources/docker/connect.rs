//! Where the daemon is, and why it does not answer.

use std::{io, path::PathBuf, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::{net::UnixStream, time::timeout};

use super::Config;

/// Sockets asked in turn when neither the config nor `DOCKER_HOST` names one: docker, podman, and both without root.
const SOCKETS: &[&str] = &["/var/run/docker.sock", "/run/podman/podman.sock"];
const SOCKETS_OF_USER: &[&str] = &["docker.sock", "podman/podman.sock"];

/// How long a single request may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why the daemon cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is there.
    #[error("there is no docker socket at {0}")]
    NoSocket(String),
    /// We may not.
    #[error("permission denied on the docker socket {0}")]
    Denied(String),
    /// The socket is there and nobody listens.
    #[error("the docker daemon at {0} does not answer: {1}")]
    Silent(String, io::Error),
    /// An address of another kind.
    #[error("cannot use the docker address {0}: expected a path, unix://… or tcp://…")]
    Unsupported(String),
    /// It answers with an error, or stopped answering.
    #[error("the docker daemon failed: {0}")]
    Daemon(#[from] bollard::errors::Error),
    /// It takes too long.
    #[error("the docker daemon did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// The stream of events has ended.
    #[error("the docker daemon closed the stream of events")]
    Closed,
}

impl Error {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoSocket(_) => "start docker, or say where its socket is: sources.docker.socket",
            Self::Denied(_) => "run the agent as root, or add its user to the group docker",
            Self::Unsupported(_) => "set sources.docker.socket to the path of the socket",
            Self::Silent(..) | Self::Daemon(_) | Self::Slow | Self::Closed => "see the log of the docker daemon",
        }
    }

    /// Whether there is no daemon to be seen, rather than one in trouble.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NoSocket(_) | Self::Denied(_) | Self::Unsupported(_))
    }
}

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket on this machine.
    Unix(PathBuf),
    /// A host and port, maybe on another machine; not encrypted.
    Tcp(String),
}

/// The endpoint that the config, else the environment, else what is there on this machine says. `variable` reads the
/// environment and `exists` looks at the file system.
///
/// # Errors
///
/// When the address is of a kind that cannot be used.
pub fn endpoint(
    config: &Config,
    variable: impl Fn(&str) -> Option<String>,
    exists: impl Fn(&str) -> bool,
) -> Result<Endpoint, Error> {
    let said = config.socket.clone().or_else(|| variable("DOCKER_HOST").filter(|host| !host.is_empty()));
    if let Some(address) = said {
        return parse(&address);
    }
    let user = variable("XDG_RUNTIME_DIR").unwrap_or_default();
    let of_user = SOCKETS_OF_USER.iter().map(|name| format!("{user}/{name}")).filter(|_| !user.is_empty());
    let mut all = SOCKETS.iter().map(ToString::to_string).chain(of_user);
    let found = all.find(|path| exists(path)).unwrap_or_else(|| "/var/run/docker.sock".to_owned());
    Ok(Endpoint::Unix(found.into()))
}

fn parse(address: &str) -> Result<Endpoint, Error> {
    if let Some(host) = address.strip_prefix("tcp://").or_else(|| address.strip_prefix("http://")) {
        return Ok(Endpoint::Tcp(host.trim_end_matches('/').to_owned()));
    }
    match address.strip_prefix("unix://").unwrap_or(address) {
        path if path.starts_with('/') => Ok(Endpoint::Unix(path.into())),
        _ => Err(Error::Unsupported(address.to_owned())),
    }
}

/// A client of the daemon that the config and this process's environment name.
///
/// # Errors
///
/// When it is not there, may not be asked or does not answer.
pub async fn connect(config: &Config) -> Result<(Docker, Endpoint), Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let endpoint = endpoint(config, variable, |path| std::path::Path::new(path).exists())?;
    let seconds = PATIENCE.as_secs();
    let docker = match &endpoint {
        Endpoint::Unix(path) => {
            let path = path.display().to_string();
            // The client hides why it cannot connect, so the socket is tried first.
            if let Err(error) = timeout(PATIENCE, UnixStream::connect(&path)).await.map_err(|_| Error::Slow)? {
                return Err(match error.kind() {
                    io::ErrorKind::NotFound => Error::NoSocket(path),
                    io::ErrorKind::PermissionDenied => Error::Denied(path),
                    _ => Error::Silent(path, error),
                });
            }
            Docker::connect_with_unix(&path, seconds, API_DEFAULT_VERSION)?
        }
        Endpoint::Tcp(host) => Docker::connect_with_http(&format!("tcp://{host}"), seconds, API_DEFAULT_VERSION)?,
    };
    Ok((docker, endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(socket: Option<&str>, variables: &[(&str, &str)], there: &[&str], expected: &str) {
        let config = Config { socket: socket.map(ToOwned::to_owned), ..Config::default() };
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let found = match endpoint(&config, variable, |path| there.contains(&path)) {
            Ok(Endpoint::Unix(path)) => format!("unix {}", path.display()),
            Ok(Endpoint::Tcp(host)) => format!("tcp {host}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_config_wins_over_the_environment_and_that_over_what_is_there() {
        let host = [("DOCKER_HOST", "tcp://10.0.0.1:2375/")];
        check(Some("/run/d.sock"), &host, &[], "unix /run/d.sock");
        check(Some("unix:///run/d.sock"), &[], &[], "unix /run/d.sock");
        check(None, &host, &["/var/run/docker.sock"], "tcp 10.0.0.1:2375");
        check(None, &[("DOCKER_HOST", "unix:///run/podman/p.sock")], &[], "unix /run/podman/p.sock");
        check(None, &[], &["/run/podman/podman.sock"], "unix /run/podman/podman.sock");
        let user = [("DOCKER_HOST", ""), ("XDG_RUNTIME_DIR", "/run/user/7")];
        check(None, &user, &["/run/user/7/docker.sock"], "unix /run/user/7/docker.sock");
        check(None, &[], &[], "unix /var/run/docker.sock");
        let unusable = "cannot use the docker address ssh://h: expected a path, unix://… or tcp://…";
        check(Some("ssh://h"), &[], &[], unusable);
    }

    #[tokio::test]
    async fn a_missing_and_a_dead_socket_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        let config = Config { socket: Some(path.display().to_string()), ..Config::default() };
        let error = connect(&config).await.unwrap_err();
        assert_eq!(error.to_string(), format!("there is no docker socket at {}", path.display()));
        assert!(error.is_missing());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = connect(&config).await.unwrap_err();
        assert!(error.to_string().contains("does not answer: Connection refused"), "{error}");
        assert!(!error.is_missing());
    }
}
