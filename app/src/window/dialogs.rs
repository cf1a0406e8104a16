//! The system's dialogs, off the drawing thread. The request is made where the system wants it (the
//! main thread), the wait for the person is elsewhere.

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{Thread, current, park};
use std::time::{Duration, Instant};

use rfd::{AsyncFileDialog, FileHandle};
use tandem_core::data::decode::EXTENSIONS;

use super::message::Pick;
use super::typed::PathWish;

/// Nobody puts a dialog away this fast: there was none.
const BLINK: Duration = Duration::from_millis(700);

/// What came of a dialog.
pub enum Outcome {
    /// The person chose.
    Paths(Vec<PathBuf>),
    /// The person changed their mind.
    Nothing,
    /// The system has no dialogs.
    NoDialog,
}

/// Endings of what can be opened.
const OPENED: [&str; 14] = [
    "safetensors",
    "pt",
    "pth",
    "ckpt",
    "bin",
    "zip",
    "png",
    "jpg",
    "jpeg",
    "webp",
    "bmp",
    "gif",
    "tif",
    "tiff",
];

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for `future` on this thread.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => park(),
        }
    }
}

type Chosen = Pin<Box<dyn Future<Output = Option<Vec<FileHandle>>> + Send>>;

fn one(future: impl Future<Output = Option<FileHandle>> + Send + 'static) -> Chosen {
    Box::pin(async { future.await.map(|handle| vec![handle]) })
}

/// Lets the person say a path for `wish`; `done` hears what came of it.
///
/// # Errors
/// When the system refuses a thread.
pub fn ask(wish: &PathWish, done: impl FnOnce(Outcome) + Send + 'static) -> std::io::Result<()> {
    let dialog = AsyncFileDialog::new().set_title(wish.title());
    let future = match wish {
        PathWish::Pick(Pick::Run | Pick::DataFolder | Pick::Folder) => one(dialog.pick_folder()),
        PathWish::Pick(Pick::DataZip) => one(dialog.add_filter("Zip archive", &["zip"]).pick_file()),
        PathWish::Pick(Pick::File) => one(dialog
            .add_filter("Autoencoders and pictures", &OPENED)
            .add_filter("All files", &["*"])
            .pick_file()),
        PathWish::Pick(Pick::Pinned) => Box::pin(dialog.add_filter("Pictures", &EXTENSIONS).pick_files()),
        PathWish::Text(name, _) | PathWish::Picture(name, _) => one(dialog.set_file_name(name).save_file()),
    };
    let work = move || {
        let began = Instant::now();
        let chosen = wait(future);
        done(match chosen {
            Some(handles) if !handles.is_empty() => {
                Outcome::Paths(handles.iter().map(|handle| handle.path().to_path_buf()).collect())
            }
            _ if began.elapsed() < BLINK => Outcome::NoDialog,
            _ => Outcome::Nothing,
        });
    };
    std::thread::Builder::new().name("tandem-dialog".into()).spawn(work).map(|_| ())
}
