//! Questions to a collector's API.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header::AUTHORIZATION};
use serde_json::Value;
use yagura_daemon::{
    http_client::{self, Limits, excerpt},
    tls::ClientFiles,
};

use crate::args::Server;

/// The environment variable that may hold the token itself.
const TOKEN_VARIABLE: &str = "YAGURA_TOKEN";
/// No answer is waited for longer than this, nor larger than this.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(30), max_body: 256 << 20 };

/// One collector.
pub(crate) struct Client {
    base: String,
    token: Option<String>,
    http: http_client::Client,
}

impl Client {
    /// The collector that the options name.
    pub(crate) fn new(server: &Server) -> anyhow::Result<Self> {
        let token = match &server.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(text.with_context(|| format!("cannot read the token from {}", path.display()))?.trim().to_owned())
            }
            None => std::env::var(TOKEN_VARIABLE).ok(),
        };
        let http = http_client::Client::new(&ClientFiles::default())?;
        Ok(Self { base: server.server.trim_end_matches('/').to_owned(), token, http })
    }

    /// GET with query parameters; the decoded JSON of a 200.
    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut url = format!("{}{path}", self.base);
        for (index, (name, value)) in parameters.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(&format!("{name}={}", percent_encode(value)));
        }
        let uri: Uri = url.parse().with_context(|| format!("`{}` is not a URL", self.base))?;
        let mut request = Request::get(uri);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = self.http.request(request.body(Bytes::new())?, LIMITS).await.with_context(|| {
            format!("no answer from {}; is a collector running there? `yagura up` starts one", self.base)
        })?;
        match answer.status() {
            StatusCode::OK => serde_json::from_slice(answer.body()).with_context(|| format!("{path} answered no JSON")),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => bail!(
                "{} wants a token; give --token-file or set {TOKEN_VARIABLE} (the collector's first start wrote one)",
                self.base
            ),
            status => bail!("{path} answered {status}: {}", reason(answer.body())),
        }
    }
}

/// What an error answer says: its `error` or `message`, else the start of the body.
fn reason(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let said = json.as_ref().and_then(|json| json.get("error").or_else(|| json.get("message")));
    said.and_then(Value::as_str).map_or_else(|| excerpt(body, 300), ToOwned::to_owned)
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_the_url() {
        assert_eq!(percent_encode(r#"{a="é"}"#), "%7Ba%3D%22%C3%A9%22%7D");
    }

    #[test]
    fn the_reason_is_what_the_server_said() {
        assert_eq!(reason(br#"{"status":"error","error":"bad query"}"#), "bad query");
        assert_eq!(reason(b"plain\ntext"), "plain text");
    }
}
