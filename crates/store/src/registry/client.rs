//! HTTP with one registry: who asks, what is tried again, and what its errors say (OCI distribution-spec).
//!
//! A request goes out with what is known of who asks. Where the registry wants more, its challenge says what: a
//! password, or a token that another server gives for one. Tokens are fetched again when they have run out.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Deserialize;

use super::credentials::Login;
use super::{Options, Place};
use crate::remote::{CONNECT_TIMEOUT, RemoteError, Retry, USER_AGENT, chain, is_loopback};

/// Redirections that are followed: registries keep their blobs elsewhere.
const MAX_REDIRECTS: usize = 10;
/// The longest answer that is read for its message.
const MAX_MESSAGE: usize = 64 << 10;

/// A registry, and who asks it.
pub(super) struct Client {
    http: reqwest::Client,
    /// The scheme and the host, as in `https://registry.example`.
    origin: String,
    host: String,
    login: Login,
    /// What tokens are to be good for, as in `repository:team/app:pull`.
    scopes: Vec<String>,
    authorization: Mutex<Option<HeaderValue>>,
    may_be_plain: bool,
    pub(super) retry: Retry,
}

impl Client {
    /// Makes ready to ask for `scopes`; nothing is asked but how the host speaks, where that is not clear.
    pub(super) async fn start(
        place: &Place,
        login: Login,
        scopes: Vec<String>,
        options: &Options,
    ) -> Result<Self, RemoteError> {
        let http = http(&place.host, options)?;
        let scheme = scheme(&http, &place.host, options).await;
        Ok(Self {
            http,
            origin: format!("{scheme}://{}", place.host),
            host: place.host.clone(),
            login,
            scopes,
            authorization: Mutex::new(None),
            may_be_plain: options.plain_http,
            retry: options.retry,
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The address of a path of the API, as in `/v2/team/app/manifests/latest`.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Sends a request that `make` makes until it is answered by success or for good. `what` is for messages.
    pub(super) async fn send(
        &self,
        what: &str,
        make: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RemoteError> {
        self.retry.run(|| async { self.checked(what, self.once(what, &make).await?).await }).await
    }

    /// Sends a request once, and once more where the answer says what it takes to be let in; any answer is one.
    pub(super) async fn once(
        &self,
        what: &str,
        make: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RemoteError> {
        let known = self.authorization.lock().ok().and_then(|header| header.clone());
        let response = self.ask(what, &make, known).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let Some(header) = self.answer_to(what, response.headers()).await? else { return Ok(response) };
        if let Ok(mut known) = self.authorization.lock() {
            *known = Some(header.clone());
        }
        self.ask(what, &make, Some(header)).await
    }

    /// Sends a request once without saying who asks, for other hosts.
    pub(super) async fn bare(
        &self,
        what: &str,
        make: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RemoteError> {
        self.ask(what, &make, None).await
    }

    /// An answer that is a success, or what it says instead.
    pub(super) async fn checked(&self, what: &str, response: Response) -> Result<Response, RemoteError> {
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(what, response).await) }
    }

    /// What an answer that is no success says.
    pub(super) async fn refusal(&self, what: &str, response: Response) -> RemoteError {
        let (code, after) = (response.status().as_u16(), retry_after(response.headers()));
        let message = message_of(response).await;
        RemoteError::of_status(what, &self.host, code, &message, after)
    }

    async fn ask(
        &self,
        what: &str,
        make: &impl Fn(&reqwest::Client) -> RequestBuilder,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, RemoteError> {
        let request = make(&self.http);
        let request = match authorization {
            Some(header) => request.header(AUTHORIZATION, header),
            None => request,
        };
        request.send().await.map_err(|error| RemoteError::of_request(what, &self.host, error))
    }

    /// What to answer to the challenges of a registry; `None` where there is nothing to show.
    async fn answer_to(&self, what: &str, headers: &HeaderMap) -> Result<Option<HeaderValue>, RemoteError> {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let mut basic = false;
        for text in challenges {
            for challenge in http_auth::parse_challenges(text).unwrap_or_default() {
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    let parameter = |name: &str| {
                        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                        found.map(|(_, value)| value.to_unescaped())
                    };
                    if let Some(realm) = parameter("realm") {
                        let token = self.token(what, &realm, parameter("service")).await?;
                        return Ok(Some(header(&format!("Bearer {token}"), &self.host)?));
                    }
                }
                basic |= challenge.scheme.eq_ignore_ascii_case("basic");
            }
        }
        match &self.login {
            Login::Password { .. } if basic => {
                Ok(self.login.basic().map(|text| header(&text, &self.host)).transpose()?)
            }
            _ => Ok(None),
        }
    }

    /// Fetches a token for the scopes (distribution's token and OAuth2 specifications).
    async fn token(&self, what: &str, realm: &str, service: Option<String>) -> Result<String, RemoteError> {
        let malformed =
            |reason: String| RemoteError::Malformed { what: what.to_owned(), host: self.host.clone(), reason };
        let mut realm = Url::parse(realm).map_err(|error| malformed(format!("its realm {realm:?}: {error}")))?;
        let to = realm.host_str().unwrap_or_default().to_owned();
        if realm.scheme() != "https" && !is_loopback(&to) && !self.may_be_plain {
            let reason = format!("it sends users to {realm}, where passwords would go unencrypted");
            return Err(RemoteError::Credentials { host: self.host.clone(), reason });
        }
        let service = service.iter().map(|service| ("service", service.as_str()));
        let request = if let Login::IdentityToken(token) = &self.login {
            let scopes = self.scopes.join(" ");
            let fixed = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "jettison")];
            let pairs = fixed.into_iter().chain(service).chain([("scope", scopes.as_str())]);
            let form = Url::parse_with_params("form:", pairs).map_err(|error| malformed(error.to_string()))?;
            let body = form.query().unwrap_or_default().to_owned();
            self.http.post(realm).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
        } else {
            let scopes = self.scopes.iter().map(|scope| ("scope", scope.as_str()));
            realm.query_pairs_mut().extend_pairs(service.chain(scopes));
            let request = self.http.get(realm);
            match self.login.basic() {
                Some(basic) => request.header(AUTHORIZATION, header(&basic, &self.host)?),
                None => request,
            }
        };
        let response = request.send().await.map_err(|error| RemoteError::of_request(what, &to, error))?;
        if !response.status().is_success() {
            let (code, after) = (response.status().as_u16(), retry_after(response.headers()));
            // Token servers say in several ways that they know nobody of this name.
            let code = if matches!(code, 400 | 403) { 401 } else { code };
            return Err(RemoteError::of_status(what, &self.host, code, &message_of(response).await, after));
        }
        let bytes = response.bytes().await.map_err(|error| RemoteError::of_request(what, &to, error))?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|error| malformed(format!("its token: {error}")))?;
        token.token.or(token.access_token).ok_or_else(|| malformed("its answer holds no token".to_owned()))
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The body of an error (distribution-spec, "Error Codes").
#[derive(Deserialize)]
struct Errors {
    errors: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// A header that no debug output shows.
fn header(text: &str, host: &str) -> Result<HeaderValue, RemoteError> {
    let reason = || "they hold characters that HTTP cannot carry".to_owned();
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| RemoteError::Credentials { host: host.to_owned(), reason: reason() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The seconds that a server asks for; dates in this place are rare, and then the own pause counts.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let after = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // A time that is over by now asks for no pause of its own.
    httpdate::parse_http_date(after).ok()?.duration_since(SystemTime::now()).ok()
}

/// What an error says, in the words of the registry.
async fn message_of(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_MESSAGE {
            break;
        }
    }
    let first = serde_json::from_slice::<Errors>(&bytes).ok().and_then(|errors| errors.errors.into_iter().next());
    match first {
        Some(Message { code, message }) if message.is_empty() => code,
        Some(Message { message, .. }) => message,
        None => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn http(host: &str, options: &Options) -> Result<reqwest::Client, RemoteError> {
    let failed = |source: reqwest::Error| RemoteError::Client { source: Box::new(source) };
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::limited(MAX_REDIRECTS))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(options.patience)
        .tls_certs_merge(options.authorities.iter().cloned());
    // A proxy never stands before this machine.
    let builder = if is_loopback(host) { builder.no_proxy() } else { builder };
    builder.build().map_err(failed)
}

/// How a host speaks: encrypted, unless the user says otherwise or it is this machine, where both are usual.
async fn scheme(http: &reqwest::Client, host: &str, options: &Options) -> &'static str {
    if options.plain_http {
        return "http";
    }
    if !is_loopback(host) || !options.authorities.is_empty() {
        return "https";
    }
    let asked = |scheme: &str| http.get(format!("{scheme}://{host}/v2/")).send();
    match asked("http").await {
        // What servers that expect TLS answer to plain HTTP.
        Ok(response) if response.status() == StatusCode::BAD_REQUEST => "https",
        Ok(_) => "http",
        Err(plain) if plain.is_connect() => "http",
        Err(_) => match asked("https").await {
            Ok(_) => "https",
            Err(error) if chain(&error).contains("certificate") => "https",
            Err(_) => "http",
        },
    }
}
