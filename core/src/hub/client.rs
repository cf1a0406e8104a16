//! The three requests that fetching a model takes: its list of files, what a file is, its bytes.

use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use super::cache::is_plain_id;
use super::name::{RepoName, is_plain_path};
use super::settings::HubSettings;
use crate::error::{Error, Result};

/// Time to connect, to answer, and between two pieces of a body.
const CONNECT: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(60);
const PIECE: Duration = Duration::from_secs(60);
/// The longest list of files that is read.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// Redirects inside the hub (renamed models) that are followed to the headers of a file.
const MAX_HOPS: usize = 5;

/// What a model holds at one commit.
#[derive(Debug, Deserialize)]
pub(super) struct RepoInfo {
    /// The commit.
    pub sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

impl RepoInfo {
    /// Paths of its files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.siblings.iter().map(|s| s.rfilename.as_str())
    }
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileInfo {
    /// Names the content: its sha256 (large files) or git's blob sum.
    pub etag: String,
    /// Its length, where the server says it.
    pub bytes: Option<u64>,
}

/// An endpoint with its token.
pub(super) struct Client<'a> {
    agent: Agent,
    settings: &'a HubSettings,
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a HubSettings) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(PIECE))
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")));
        // A proxy is for the way out, not for this machine.
        let here = ["http://127.0.0.1", "http://localhost"].iter().any(|h| settings.endpoint.starts_with(h));
        let config = if here { config.proxy(None) } else { config };
        Self { agent: config.build().into(), settings }
    }

    /// The commit of a revision and its files.
    ///
    /// # Errors
    /// An endpoint that cannot be reached, refuses, or answers nonsense.
    pub(super) fn repo(&self, repo: &RepoName) -> Result<RepoInfo> {
        let url = format!("{}/api/models/{}/revision/{}", self.settings.endpoint, repo.id, repo.revision);
        let mut response = self.get(&url, None)?;
        self.check(repo, &response)?;
        let text = response.body_mut().with_config().limit(MAX_LIST_BYTES).read_to_string();
        let text = text.map_err(|e| unreachable(&url, &e))?;
        let info: RepoInfo = serde_json::from_str(&text)
            .map_err(|e| Error::Hub(format!("{url}: not an answer of a hub ({e}); check HF_ENDPOINT")))?;
        if !is_plain_id(&info.sha) || !info.files().all(is_plain_path) {
            return Err(Error::Hub(format!("{url}: lists a commit or file with a name that is not allowed")));
        }
        Ok(info)
    }

    /// Content sum and length of a file.
    ///
    /// # Errors
    /// As [`Client::repo`].
    pub(super) fn file(&self, repo: &RepoName, commit: &str, path: &str) -> Result<FileInfo> {
        let mut url = self.url(repo, commit, path);
        for _ in 0..MAX_HOPS {
            let request = self.authorized(self.agent.head(&url));
            let response =
                request.config().max_redirects(0).build().call().map_err(|e| unreachable(&url, &e))?;
            let headers = response.headers();
            // A large file redirects to a store elsewhere; what it is stands in the hub's own answer.
            let linked = text(headers, "x-linked-etag").is_some();
            match text(headers, "location") {
                Some(inside) if response.status().is_redirection() && !linked && inside.starts_with('/') => {
                    url = format!("{}{inside}", self.settings.endpoint);
                    continue;
                }
                _ => {}
            }
            if !response.status().is_redirection() {
                self.check(repo, &response)?;
            }
            let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag")).unwrap_or_default();
            let etag = etag.trim_start_matches("W/").trim_matches('"').to_string();
            let length =
                if response.status().is_redirection() { None } else { text(headers, "content-length") };
            let bytes = text(headers, "x-linked-size").or(length).and_then(|n| n.parse().ok());
            if !is_plain_id(&etag) {
                return Err(Error::Hub(format!("{url}: the server does not say what the file is (no etag)")));
            }
            return Ok(FileInfo { etag, bytes });
        }
        Err(Error::Hub(format!("{url}: redirected in a circle")))
    }

    /// The bytes of a file from `from` on; also where they really begin, since a server may ignore the wish.
    ///
    /// # Errors
    /// As [`Client::repo`].
    pub(super) fn bytes(
        &self,
        repo: &RepoName,
        commit: &str,
        path: &str,
        from: u64,
    ) -> Result<(u64, impl Read + use<>)> {
        let url = self.url(repo, commit, path);
        let response = self.get(&url, (from > 0).then_some(from))?;
        self.check(repo, &response)?;
        let begins = if response.status().as_u16() == 206 {
            let range = text(response.headers(), "content-range").unwrap_or_default();
            let start =
                range.strip_prefix("bytes ").and_then(|r| r.split('-').next()).and_then(|n| n.parse().ok());
            start.ok_or_else(|| Error::Hub(format!("{url}: a part without saying which (content-range)")))?
        } else {
            0
        };
        Ok((begins, response.into_body().into_reader()))
    }

    fn url(&self, repo: &RepoName, commit: &str, path: &str) -> String {
        format!("{}/{}/resolve/{commit}/{}", self.settings.endpoint, repo.id, percent_encoded(path))
    }

    fn get(&self, url: &str, from: Option<u64>) -> Result<Response<Body>> {
        let mut request = self.authorized(self.agent.get(url));
        if let Some(from) = from {
            request = request.header("range", format!("bytes={from}-"));
        }
        request.call().map_err(|e| unreachable(url, &e))
    }

    /// Adds the token; ureq does not send it on to another host.
    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.settings.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// Refusals in words.
    fn check(&self, repo: &RepoName, response: &Response<Body>) -> Result<()> {
        let endpoint = &self.settings.endpoint;
        let code = text(response.headers(), "x-error-code").unwrap_or_default();
        let reason = match (response.status().as_u16(), code.as_str()) {
            (200..=299, _) => return Ok(()),
            (_, "RevisionNotFound") => format!("{endpoint} has no revision {} of {}", repo.revision, repo.id),
            (401 | 403, _) if self.settings.token.is_none() => format!(
                "{endpoint} does not give out {repo}: there is no such model, or it asks for a token (accept its terms on \
                 its page and set HF_TOKEN)"
            ),
            (401 | 403, _) => {
                format!("{endpoint} refuses {repo} to the token in HF_TOKEN: accept its terms on its page")
            }
            (404, _) => format!("{endpoint} has no {repo}, or not that file"),
            (429, _) => format!("{endpoint} asks to wait (too many requests); try again later"),
            (status, _) => format!("{endpoint} answered {status} for {repo}"),
        };
        Err(Error::Hub(reason))
    }
}

fn unreachable(url: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Hub(format!("{url}: {error}; check the connection (or HF_ENDPOINT)"))
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(String::from)
}

/// A path as part of an address.
fn percent_encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(byte as char)
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
