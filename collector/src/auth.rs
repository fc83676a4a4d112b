//! Who may ask what of the collector's HTTP port.
//!
//! On a loopback address without tokens everybody on this machine may; otherwise a request needs a bearer token, or
//! the cookie that `/login` sets, with the scope of its path. Two guards hold in any case, because a browser on this
//! machine shows pages of strangers too: a name that is not ours must not be answered (DNS rebinding), and a page of
//! another origin must not change anything.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Query, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use yagura_daemon::{auth::has_bearer, secret::Secret};

use crate::{api::answer, config::Scope};

/// The cookie that holds a token.
const COOKIE: &str = "yagura_token";

/// The tokens and what each may do.
#[derive(Debug)]
pub(crate) struct Access {
    /// Everybody may do everything.
    pub(crate) open: bool,
    /// Only loopback names are answered, and these.
    pub(crate) hosts: Option<Vec<String>>,
    pub(crate) tokens: Vec<(Secret, Vec<Scope>)>,
}

impl Access {
    /// The tokens that may send data; none when everybody may.
    pub(crate) fn ingest_tokens(&self) -> Vec<Secret> {
        if self.open {
            return Vec::new();
        }
        let may = |scopes: &[Scope]| scopes.contains(&Scope::Ingest) || scopes.contains(&Scope::Admin);
        self.tokens.iter().filter(|(_, scopes)| may(scopes)).map(|(token, _)| token.clone()).collect()
    }

    fn allows(&self, headers: &HeaderMap, needed: Scope) -> bool {
        let cookie = cookie(headers);
        // Every token is compared, so that the time does not tell which one was close.
        let mut allowed = false;
        for (token, scopes) in &self.tokens {
            let by_cookie = cookie.is_some_and(|value| bool::from(value.as_bytes().ct_eq(token.expose().as_bytes())));
            let matches = has_bearer(headers, token) || by_cookie;
            allowed |= matches && (scopes.contains(&needed) || scopes.contains(&Scope::Admin));
        }
        allowed
    }

    fn knows_host(&self, host: &str) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let name = host_name(host);
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<std::net::IpAddr>().is_ok()
            || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// A host without its port and without the brackets of IPv6.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// What a path needs; `None` when it is open to all.
fn needed(method: &Method, path: &str) -> Option<Scope> {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let open = matches!(path, "/live" | "/ready" | "/login" | "/" | "/graph")
        || path.starts_with("/assets/")
        || path.starts_with("/ui/")
        || path.ends_with("/-/healthy")
        || path.ends_with("/-/ready");
    // Receivers ask for the token themselves, and answer in their protocol's own words.
    let receives = path.starts_with("/v1/") || path == "/prom/api/v1/write";
    if open || receives {
        return None;
    }
    Some(match path {
        "/alertmanager/api/v2/alerts" if !reads => Scope::Ingest,
        _ if !reads && path.starts_with("/alertmanager/") => Scope::Admin,
        _ => Scope::Read,
    })
}

/// Puts the guards in front of a router, and `/login` beside it.
pub(crate) fn guard(router: Router, access: Arc<Access>) -> Router {
    router
        .route("/login", get(login).with_state(Arc::clone(&access)))
        .layer(middleware::from_fn_with_state(access, check))
}

async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.map_or_else(|| request.uri().authority().map(|authority| authority.as_str()), Some);
    if host.is_some_and(|host| !access.knows_host(host)) {
        let text = "this name is not the collector's; set `external_url` if it should be";
        return answer::failure(StatusCode::FORBIDDEN, "forbidden", text);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) && is_foreign(headers, host) {
        return answer::failure(StatusCode::FORBIDDEN, "forbidden", "a page of another site may not change anything");
    }
    if let Some(scope) = needed(request.method(), request.uri().path())
        && !access.open
        && !access.allows(headers, scope)
    {
        let text = "a bearer token is needed, or the login URL that the collector's first start printed";
        let mut response = answer::failure(StatusCode::UNAUTHORIZED, "unauthorized", text);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    next.run(request).await
}

/// Whether a browser says that another site's page made the request.
fn is_foreign(headers: &HeaderMap, host: Option<&str>) -> bool {
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else { return false };
    let authority = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
    authority.as_deref() != host
}

#[derive(Debug, Deserialize)]
struct Login {
    token: String,
}

/// Takes the token of the login URL into a cookie, so that it does not stay in the address bar.
async fn login(State(access): State<Arc<Access>>, Query(Login { token }): Query<Login>) -> Response {
    let mut known = false;
    for (held, _) in &access.tokens {
        known |= bool::from(held.expose().as_bytes().ct_eq(token.as_bytes()));
    }
    let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age=31536000");
    match HeaderValue::from_str(&cookie) {
        Ok(cookie) if known => {
            let location = HeaderValue::from_static("/");
            (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, location)]).into_response()
        }
        _ => answer::failure(StatusCode::UNAUTHORIZED, "unauthorized", "this token is not known"),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;

    use super::*;

    fn access(open: bool, hosts: Option<&[&str]>) -> Arc<Access> {
        let hosts = hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
        let tokens = vec![
            (Secret::new("reader"), vec![Scope::Read]),
            (Secret::new("sender"), vec![Scope::Ingest]),
            (Secret::new("admin"), vec![Scope::Admin]),
        ];
        Arc::new(Access { open, hosts, tokens })
    }

    async fn ask(access: &Arc<Access>, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let router = Router::new().fallback(|| async { "reached" });
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let service = hyper_util::service::TowerToHyperService::new(guard(router, Arc::clone(access)));
        hyper::service::Service::call(&service, request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[track_caller]
    fn status(response: &Response) -> u16 {
        response.status().as_u16()
    }

    #[tokio::test]
    async fn each_path_needs_its_scope() {
        let access = access(false, None);
        for (method, path, token, expected) in [
            ("GET", "/prom/api/v1/query", "", 401),
            ("GET", "/prom/api/v1/query", "reader", 200),
            ("POST", "/prom/api/v1/query", "reader", 200),
            ("GET", "/prom/api/v1/query", "sender", 401),
            ("GET", "/prom/api/v1/query", "admin", 200),
            ("POST", "/alertmanager/api/v2/silences", "reader", 401),
            ("POST", "/alertmanager/api/v2/silences", "admin", 200),
            ("POST", "/alertmanager/api/v2/alerts", "sender", 200),
            ("DELETE", "/alertmanager/api/v2/silence/x", "sender", 401),
            ("GET", "/live", "", 200),
            ("GET", "/", "", 200),
            ("POST", "/v1/metrics", "", 200),
        ] {
            let header = format!("Bearer {token}");
            let response = ask(&access, method, path, &[("authorization", &header)]).await;
            assert_eq!(status(&response), expected, "{method} {path} {token}");
        }
    }

    #[tokio::test]
    async fn the_login_url_becomes_a_cookie() {
        let access = access(false, None);
        let refused = ask(&access, "GET", "/login?token=guess", &[]).await;
        assert_eq!(status(&refused), 401);
        let taken = ask(&access, "GET", "/login?token=admin", &[]).await;
        assert_eq!(status(&taken), 303);
        let cookie = taken.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        let pair = cookie.split(';').next().unwrap().to_owned();
        let response = ask(&access, "GET", "/api/agents", &[("cookie", &format!("a=b; {pair}"))]).await;
        assert_eq!(status(&response), 200);
    }

    #[tokio::test]
    async fn strangers_names_and_pages_are_refused_on_the_loopback() {
        let access = access(true, Some(&["yagura.example.com"]));
        for (host, expected) in [
            ("127.0.0.1:7400", 200),
            ("localhost:7400", 200),
            ("[::1]:7400", 200),
            ("yagura.example.com", 200),
            ("evil.example.com:7400", 403),
        ] {
            let response = ask(&access, "GET", "/api/agents", &[("host", host)]).await;
            assert_eq!(status(&response), expected, "{host}");
        }
        let foreign = [("host", "localhost:7400"), ("origin", "http://evil.example.com")];
        let response = ask(&access, "POST", "/alertmanager/api/v2/silences", &foreign).await;
        assert_eq!(status(&response), 403);
        let own = [("host", "localhost:7400"), ("origin", "http://localhost:7400")];
        let response = ask(&access, "POST", "/alertmanager/api/v2/silences", &own).await;
        assert_eq!(status(&response), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], b"reached");
    }
}
