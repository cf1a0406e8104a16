//! The system's dialogs, off the drawing thread. The request is made where the system wants it (the
//! main thread), the wait for the person is elsewhere.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{Thread, current, park};

use rfd::{AsyncFileDialog, FileHandle};

use super::message::Pick;

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

fn then(
    future: impl Future<Output = Option<FileHandle>> + Send + 'static,
    done: impl FnOnce(PathBuf) + Send + 'static,
) -> std::io::Result<()> {
    let work = move || {
        if let Some(handle) = wait(future) {
            done(handle.path().to_path_buf());
        }
    };
    std::thread::Builder::new().name("tandem-dialog".into()).spawn(work).map(|_| ())
}

/// Lets the person pick; `done` hears of it unless they change their mind.
///
/// # Errors
/// When the system refuses a thread.
pub fn pick(pick: Pick, done: impl FnOnce(PathBuf) + Send + 'static) -> std::io::Result<()> {
    let dialog = AsyncFileDialog::new();
    match pick {
        Pick::Folder => then(dialog.set_title("Open a run, an autoencoder or pictures").pick_folder(), done),
        Pick::File => then(
            dialog
                .set_title("Open an autoencoder or a picture")
                .add_filter("Autoencoders and pictures", &OPENED)
                .add_filter("All files", &["*"])
                .pick_file(),
            done,
        ),
        Pick::Run => then(dialog.set_title("Open a run").pick_folder(), done),
        Pick::DataFolder => then(dialog.set_title("Pictures to train on").pick_folder(), done),
        Pick::DataZip => then(
            dialog.set_title("Pictures to train on").add_filter("Zip archive", &["zip"]).pick_file(),
            done,
        ),
    }
}

/// Lets the person say where to write `name`.
///
/// # Errors
/// When the system refuses a thread.
pub fn save(name: &str, done: impl FnOnce(PathBuf) + Send + 'static) -> std::io::Result<()> {
    then(AsyncFileDialog::new().set_file_name(name).save_file(), done)
}
