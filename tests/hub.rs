//! Fetching models: a small server on this machine speaks the hub's API, cuts transfers midway,
//! redirects and damages. No test here reaches the hub.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tandem_core::error::Result;
use tandem_core::hub::{Fetch, Fetched, HubSettings, Progress, RepoName, fetch, resolve_with};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// A server ends after so many requests, whatever happens.
const MAX_REQUESTS: usize = 60;

/// How a server misbehaves.
#[derive(Clone, Default)]
struct Manners {
    /// Bodies of large files end after so many bytes, so many times.
    cuts: usize,
    cut_after: usize,
    /// Flip a byte of large files.
    damage: bool,
    /// Ask for this token.
    token: Option<&'static str>,
    /// Ignore the wish for a part.
    whole_only: bool,
}

/// One request as it came.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    range: Option<String>,
    authorized: bool,
}

struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start(files: &[(&'static str, Vec<u8>)], manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let files: BTreeMap<&str, Vec<u8>> = files.iter().cloned().collect();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        std::thread::spawn(move || {
            let mut manners = manners;
            for stream in listener.incoming().take(MAX_REQUESTS).flatten() {
                stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
                let _ = answer(stream, &files, &mut manners, &log);
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn gets(&self, path: &str) -> Vec<Option<String>> {
        let line = format!("GET {path} ");
        self.seen().iter().filter(|s| s.line.starts_with(&line)).map(|s| s.range.clone()).collect()
    }
}

fn answer(
    stream: TcpStream,
    files: &BTreeMap<&str, Vec<u8>>,
    manners: &mut Manners,
    log: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    let (mut range, mut bearer) = (None, None);
    for header in lines.by_ref() {
        let header = header?;
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => range = Some(value.to_string()),
            "authorization" => bearer = Some(value.to_string()),
            _ => {}
        }
    }
    let authorized = manners.token.is_none_or(|t| bearer.as_deref() == Some(format!("Bearer {t}").as_str()));
    log.lock().unwrap().push(Seen { line: line.clone(), range: range.clone(), authorized });
    let path = line.split(' ').nth(1).unwrap_or_default();
    let mut stream = stream;
    let close = "connection: close\r\n";
    if !authorized {
        return write!(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n{close}\r\n");
    }
    if path.starts_with("/api/models/") {
        if !path.starts_with("/api/models/some/model/revision/main") {
            return write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nx-error-code: RevisionNotFound\r\ncontent-length: 0\r\n{close}\r\n"
            );
        }
        let siblings: Vec<_> = files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let body = serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string();
        return write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{close}\r\n{body}", body.len());
    }
    let name = path.rsplit_once(&format!("{COMMIT}/")).map_or("", |(_, name)| name);
    let Some(content) = files.get(name) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n{close}\r\n");
    };
    let large = content.len() > 1000;
    let etag = if large { hex(&Sha256::digest(content)) } else { git_sum(content) };
    if large && !path.starts_with("/store/") {
        // As the hub: what the file is, and where its bytes are.
        let size = content.len();
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nlocation: /store{path}\r\nx-linked-etag: \"{etag}\"\r\nx-linked-size: {size}\r\n\
             x-repo-commit: {COMMIT}\r\ncontent-length: 0\r\n{close}\r\n"
        );
    }
    let from = range.filter(|_| !manners.whole_only);
    let from =
        from.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()).unwrap_or(0);
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let mut body = content[from..].to_vec();
    if manners.damage && large {
        body[0] ^= 1;
    }
    let range = format!("content-range: bytes {from}-{}/{}\r\n", content.len() - 1, content.len());
    let range = if from > 0 { range } else { String::new() };
    write!(
        stream,
        "HTTP/1.1 {status}\r\netag: \"{etag}\"\r\n{range}content-length: {}\r\n{close}\r\n",
        body.len()
    )?;
    if line.starts_with("HEAD") {
        return Ok(());
    }
    if large && manners.cuts > 0 {
        manners.cuts -= 1;
        body.truncate(manners.cut_after);
    }
    stream.write_all(&body)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn git_sum(content: &[u8]) -> String {
    use sha1::Sha1;
    let mut sum = <Sha1 as sha1::Digest>::new();
    sha1::Digest::update(&mut sum, format!("blob {}\0", content.len()));
    sha1::Digest::update(&mut sum, content);
    hex(&sha1::Digest::finalize(sum))
}

fn weights() -> Vec<u8> {
    (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", b"{\"model_type\": \"dinov2\"}\n".to_vec()),
        ("model.safetensors", weights()),
        ("onnx/model.onnx", vec![7; 2000]),
    ]
}

fn settings(server: &Server, cache: &Path) -> HubSettings {
    HubSettings { endpoint: server.address.clone(), cache: cache.into(), token: None, offline: false }
}

fn run(settings: &HubSettings, include: &[&str]) -> (Result<Fetched>, Vec<Progress>) {
    let mut told = Vec::new();
    let what = Fetch {
        repo: RepoName::parse("some/model").unwrap(),
        include: include.iter().map(ToString::to_string).collect(),
    };
    let outcome = fetch(&what, settings, &mut |progress| told.push(progress));
    (outcome, told)
}

#[test]
fn a_model_lands_in_the_standard_cache_and_its_name_becomes_a_path() {
    let (server, folder) = (Server::start(&files(), Manners::default()), tempfile::tempdir().unwrap());
    let settings = settings(&server, folder.path());
    let fetched = run(&settings, &["*.json", "*.safetensors"]).0.unwrap();
    assert_eq!(fetched.files, ["config.json", "model.safetensors"]);
    let root = folder.path().join("models--some--model");
    assert_eq!(fetched.folder, root.join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    let sum = hex(&Sha256::digest(weights()));
    assert_eq!(std::fs::read(root.join("blobs").join(&sum)).unwrap(), weights());
    assert_eq!(std::fs::read(fetched.folder.join("model.safetensors")).unwrap(), weights());
    #[cfg(unix)]
    assert_eq!(
        std::fs::read_link(fetched.folder.join("model.safetensors")).unwrap(),
        Path::new("../../blobs").join(&sum)
    );
    assert_eq!(resolve_with("some/model", &settings).unwrap(), fetched.folder);
    let file = resolve_with("some/model/config.json", &settings).unwrap();
    assert_eq!(std::fs::read(file).unwrap(), files()[0].1);
    let error = resolve_with("some/model/onnx/model.onnx", &settings).unwrap_err().to_string();
    assert!(error.contains("tandem fetch some/model --include onnx/model.onnx"), "{error}");

    // A second fetch moves no bytes.
    let before = server.gets(&format!("/store/some/model/resolve/{COMMIT}/model.safetensors")).len();
    assert_eq!(run(&settings, &["*.safetensors"]).0.unwrap().received_bytes, 0);
    let after = server.gets(&format!("/store/some/model/resolve/{COMMIT}/model.safetensors")).len();
    assert_eq!((before, after), (1, 1));
}

#[test]
fn a_cut_transfer_goes_on_where_it_was() {
    let manners = Manners { cuts: 2, cut_after: 70_000, ..Manners::default() };
    let (server, folder) = (Server::start(&files(), manners), tempfile::tempdir().unwrap());
    let (outcome, told) = run(&settings(&server, folder.path()), &["model.*"]);
    assert_eq!(std::fs::read(outcome.unwrap().folder.join("model.safetensors")).unwrap(), weights());
    let asked = server.gets(&format!("/store/some/model/resolve/{COMMIT}/model.safetensors"));
    assert_eq!(asked, [None, Some("bytes=70000-".into()), Some("bytes=140000-".into())]);
    assert_eq!(told.iter().filter(|p| matches!(p, Progress::Cut { .. })).count(), 2);
    let bytes: u64 = told.iter().map(|p| if let Progress::Bytes(n) = p { *n } else { 0 }).sum();
    assert_eq!(bytes, 200_000);
}

#[test]
fn a_fetch_that_was_given_up_is_taken_up_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let dead = Server::start(&files(), Manners { cuts: 99, cut_after: 0, ..Manners::default() });
    let partial = folder
        .path()
        .join("models--some--model/blobs")
        .join(format!("{}.incomplete", hex(&Sha256::digest(weights()))));
    let error = run(&settings(&dead, folder.path()), &["model.*"]).0.unwrap_err().to_string();
    assert!(error.contains("fetch again to go on"), "{error}");
    // The revision does not name what is not whole.
    assert!(!folder.path().join("models--some--model/refs/main").exists());
    std::fs::write(&partial, &weights()[..150_000]).unwrap();
    let server = Server::start(&files(), Manners::default());
    let fetched = run(&settings(&server, folder.path()), &["model.*"]).0.unwrap();
    assert_eq!(fetched.received_bytes, 50_000);
    assert_eq!(std::fs::read(fetched.folder.join("model.safetensors")).unwrap(), weights());
    assert!(!partial.exists());
}

#[test]
fn a_server_that_sends_all_again_is_understood() {
    let manners = Manners { cuts: 1, cut_after: 70_000, whole_only: true, ..Manners::default() };
    let (server, folder) = (Server::start(&files(), manners), tempfile::tempdir().unwrap());
    let fetched = run(&settings(&server, folder.path()), &["model.*"]).0.unwrap();
    assert_eq!(std::fs::read(fetched.folder.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn damaged_content_is_refused_and_removed() {
    let manners = Manners { damage: true, ..Manners::default() };
    let (server, folder) = (Server::start(&files(), manners), tempfile::tempdir().unwrap());
    let error = run(&settings(&server, folder.path()), &["model.*"]).0.unwrap_err().to_string();
    assert!(error.contains("arrived damaged"), "{error}");
    let blobs = folder.path().join("models--some--model/blobs");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0);
}

#[test]
fn the_token_is_sent_and_its_lack_is_told() {
    let manners = Manners { token: Some("secret"), ..Manners::default() };
    let (server, folder) = (Server::start(&files(), manners), tempfile::tempdir().unwrap());
    let mut settings = settings(&server, folder.path());
    let error = run(&settings, &[]).0.unwrap_err().to_string();
    assert!(error.contains("HF_TOKEN"), "{error}");
    settings.token = Some("secret".into());
    assert_eq!(run(&settings, &[]).0.unwrap().files.len(), 3);
    assert!(server.seen()[1..].iter().all(|seen| seen.authorized));
}

#[test]
fn offline_says_what_is_missing_and_sends_nothing() {
    let (server, folder) = (Server::start(&files(), Manners::default()), tempfile::tempdir().unwrap());
    let online = settings(&server, folder.path());
    let offline = HubSettings { offline: true, ..online.clone() };
    let error = run(&offline, &[]).0.unwrap_err().to_string();
    assert!(error.contains("offline") && error.contains("some/model"), "{error}");
    assert!(server.seen().is_empty());
    run(&online, &["*.json"]).0.unwrap();
    let count = server.seen().len();
    assert_eq!(run(&offline, &["*.json"]).0.unwrap().files, ["config.json"]);
    let error = run(&offline, &["*.safetensors"]).0.unwrap_err().to_string();
    assert!(error.contains("*.safetensors of some/model"), "{error}");
    assert_eq!(server.seen().len(), count);
}

#[test]
fn what_cannot_be_fetched_is_one_clear_line() {
    let (server, folder) = (Server::start(&files(), Manners::default()), tempfile::tempdir().unwrap());
    let settings = settings(&server, folder.path());
    let error = run(&settings, &["*.bin"]).0.unwrap_err().to_string();
    assert!(error.contains("no file that matches *.bin") && error.contains("config.json"), "{error}");
    let what = Fetch { repo: RepoName::parse("some/model@v9").unwrap(), include: Vec::new() };
    let error = fetch(&what, &settings, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("no revision v9"), "{error}");
    let nobody = HubSettings { endpoint: "http://127.0.0.1:9".into(), ..settings.clone() };
    let error = run(&nobody, &[]).0.unwrap_err().to_string();
    assert!(error.contains("check the connection"), "{error}");
    let error = resolve_with("some/other", &settings).unwrap_err().to_string();
    assert!(error.contains("tandem fetch some/other"), "{error}");
    let error = resolve_with("not here.pth", &settings).unwrap_err().to_string();
    assert!(error.contains("cannot read") && !error.contains("fetch"), "{error}");
}

#[test]
fn a_list_with_paths_that_lead_out_is_refused() {
    let files = vec![("../../evil", vec![1; 10])];
    let (server, folder) = (Server::start(&files, Manners::default()), tempfile::tempdir().unwrap());
    let error = run(&settings(&server, folder.path()), &[]).0.unwrap_err().to_string();
    assert!(error.contains("not allowed"), "{error}");
}
