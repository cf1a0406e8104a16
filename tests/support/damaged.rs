//! Sound files of every kind that is read, and their readers: what fuzzing starts from.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat};
use tandem_core::config::Config;
use tandem_core::data::decode::decode_rgb;
use tandem_core::device;
use tandem_core::files::npz::{Array, read_npz, write_npz};
use tandem_core::files::pickle::Pickle;
use tandem_core::files::pickle::write::{Value, pickled};
use tandem_core::files::write::{Outgoing, plan, write_torch};
use tandem_core::files::{Dtype, TensorFile};
use tandem_core::formats::autoencoder;
use tandem_core::formats::repae::{RepaeFile, export_run, import};
use tandem_core::params::TensorSource;
use tandem_core::run::Checkpoint;
use tandem_core::sit::Sit;
use tandem_core::train::optim::OptimizerState;
use tandem_core::train::state::{TrainerState, tensors};
use tandem_core::vae::discriminator::Discriminator;
use tandem_core::vae::{QwenConfig, Vae, VaeConfig};

/// The bytes of a tensor for a writer.
type Stored<'a> = tandem_core::Result<Cow<'a, [u8]>>;

/// A kind of file.
pub struct Kind {
    /// Starts the names of its corpus.
    pub name: &'static str,
    /// Sound files.
    pub seeds: Vec<Vec<u8>>,
    /// The reader; an error in words.
    pub read: fn(&[u8]) -> Result<(), String>,
    /// Memory that a reader may take: so many bytes, and so many for each byte of the file.
    pub fixed_bytes: usize,
    pub bytes_per_byte: usize,
}

/// Every kind.
pub fn seeds() -> Vec<Kind> {
    let mb = 1 << 20;
    vec![
        Kind {
            name: "safetensors",
            seeds: vec![
                safetensors(&[Dtype::F32, Dtype::BF16]),
                safetensors(&[Dtype::I64, Dtype::F16, Dtype::U8]),
            ],
            read: read_tensors,
            fixed_bytes: mb,
            bytes_per_byte: 64,
        },
        Kind { name: "index", seeds: vec![index()], read: read_index, fixed_bytes: mb, bytes_per_byte: 64 },
        Kind {
            name: "zip",
            seeds: vec![torch_zip(&nested()), torch_zip(&state_dict())],
            read: read_tensors,
            fixed_bytes: 8 * mb,
            bytes_per_byte: 512,
        },
        Kind {
            name: "legacy",
            seeds: vec![torch_legacy(&nested()), torch_legacy(&state_dict())],
            read: read_tensors,
            fixed_bytes: 8 * mb,
            bytes_per_byte: 512,
        },
        Kind {
            name: "pickle",
            seeds: vec![pickled(&nested()), pickled(&state_dict()), b"cposix\nsystem\n(S'x'\ntR.".to_vec()],
            read: read_pickle,
            fixed_bytes: 4 * mb,
            bytes_per_byte: 512,
        },
        Kind {
            name: "config",
            seeds: configs(),
            read: read_config,
            fixed_bytes: 16 * mb,
            bytes_per_byte: 256,
        },
        Kind { name: "npz", seeds: vec![npz()], read: read_array, fixed_bytes: 8 * mb, bytes_per_byte: 64 },
        Kind {
            name: "checkpoint",
            seeds: vec![checkpoint()],
            read: read_checkpoint,
            fixed_bytes: 64 * mb,
            bytes_per_byte: 64,
        },
        // The decoder's own bound is 512 MiB; the pixels come on top.
        Kind {
            name: "image",
            seeds: images(),
            read: |bytes| decode_rgb(bytes).map(|_| ()),
            fixed_bytes: 1200 * mb,
            bytes_per_byte: 64,
        },
    ]
}

/// A reader's error without what no mutation can change.
fn in_words<T>(outcome: tandem_core::Result<T>) -> Result<T, String> {
    outcome.map_err(|e| e.to_string())
}

fn read_tensors(bytes: &[u8]) -> Result<(), String> {
    let file = in_words(TensorFile::from_bytes(bytes, Path::new("file.pt")))?;
    for name in file.names() {
        // A dtype that is no number is an error of its own; it must be one line too.
        in_words(file.tensor(name))?;
    }
    Ok(())
}

fn read_pickle(bytes: &[u8]) -> Result<(), String> {
    let (pickle, _) = Pickle::read(bytes)?;
    let root = pickle.root();
    let _ = (root.get("args").and_then(|args| args.state()), root.items().count(), root.class());
    Ok(())
}

/// A folder with the index and its shards.
fn read_index(bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let index = folder.path().join("model.safetensors.index.json");
    std::fs::write(&index, bytes).map_err(|e| e.to_string())?;
    std::fs::write(folder.path().join("a.safetensors"), safetensors(&[Dtype::F32]))
        .map_err(|e| e.to_string())?;
    in_words(TensorFile::open(&index)).map(|_| ())
}

fn read_config(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let config = in_words(VaeConfig::from_json(text))?;
    in_words(Vae::unset(&config, &device::cpu()))?;
    in_words(config.to_json()).map(|_| ())
}

fn read_array(bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("z.npz");
    std::fs::write(&path, bytes).map_err(|e| e.to_string())?;
    in_words(read_npz(&path, "")).map(|_| ())
}

fn read_checkpoint(bytes: &[u8]) -> Result<(), String> {
    let file = in_words(TensorFile::from_bytes(bytes, Path::new("0000001.pt")))?;
    let Some(repae) = RepaeFile::of(&file) else { return Err("no checkpoint".into()) };
    in_words(repae.latent_stats())?;
    in_words(autoencoder::load(&file, repae.vae_config().as_ref(), &device::cpu()))?;
    in_words(import(&repae, None, &["data.image_px=16".into()], &device::cpu())).map(|_| ())
}

fn values(dtype: Dtype, count: usize) -> Vec<u8> {
    (0..count * dtype.bitsize() / 8).map(|i| (i * 7 % 120) as u8).collect()
}

fn safetensors(dtypes: &[Dtype]) -> Vec<u8> {
    let all: Vec<Outgoing> = dtypes
        .iter()
        .enumerate()
        .map(|(i, &dtype)| Outgoing { name: format!("layer.{i}.weight"), dtype, shape: vec![2, i + 1] })
        .collect();
    let bytes = |i: usize| -> Stored<'_> { Ok(Cow::Owned(values(all[i].dtype, 2 * (i + 1)))) };
    let mut out = Vec::new();
    plan(&all).unwrap().write(&mut out, &bytes, Path::new("x")).unwrap();
    out
}

fn index() -> Vec<u8> {
    br#"{"metadata": {"total_size": 8}, "weight_map": {"layer.0.weight": "a.safetensors"}}"#.to_vec()
}

fn tensor(number: usize, dtype: Dtype, shape: &[usize]) -> Value {
    Value::Tensor { number, dtype, shape: shape.to_vec() }
}

fn state_dict() -> Value {
    Value::OrderedDict(vec![
        ("features.0.weight".into(), tensor(0, Dtype::F32, &[2, 3])),
        ("features.0.bias".into(), tensor(1, Dtype::F16, &[4])),
        ("counter".into(), tensor(2, Dtype::I64, &[])),
    ])
}

fn nested() -> Value {
    let entries = vec![
        ("model", state_dict()),
        ("opt", Value::List(vec![Value::Float(0.1), Value::None, Value::Tuple(vec![Value::Int(1 << 40)])])),
        (
            "args",
            Value::Namespace(vec![
                ("lr".into(), Value::Float(1e-4)),
                ("name".into(), Value::Text("x".into())),
            ]),
        ),
        ("steps", Value::Int(7)),
    ];
    Value::dict(entries)
}

fn torch_values(number: usize) -> Vec<u8> {
    values([Dtype::F32, Dtype::F16, Dtype::I64][number], [6, 4, 1][number])
}

fn torch_zip(value: &Value) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let bytes = |i: usize| -> Stored<'_> { Ok(Cow::Owned(torch_values(i))) };
    write_torch(&mut out, "archive", value, &bytes, Path::new("x.pt")).unwrap();
    out.into_inner()
}

/// `torch.save(…, _use_new_zipfile_serialization=False)`.
pub fn torch_legacy(value: &Value) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec();
    out.extend(pickled(&Value::Int(1001)));
    out.extend(pickled(&Value::dict(vec![("little_endian", Value::Bool(true))])));
    out.extend(pickled(value));
    let numbers = value.tensors();
    out.extend(pickled(&Value::List((0..numbers.len()).map(|k| Value::Text(k.to_string())).collect())));
    for number in numbers {
        out.extend(([6u64, 4, 1][number]).to_le_bytes());
        out.extend(torch_values(number));
    }
    out
}

fn configs() -> Vec<Vec<u8>> {
    let plain = VaeConfig::plain(&[32, 64], 1, 4, 32, 64);
    let qwen = VaeConfig::of_qwen(QwenConfig { base_dim: 4, ..QwenConfig::default() });
    [plain, qwen].iter().map(|config| config.to_json().unwrap().into_bytes()).collect()
}

fn npz() -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let bytes = values(Dtype::F32, 8);
    let arrays = [Array { name: "latents", dtype: Dtype::F32, shape: &[1, 2, 2, 2], bytes: &bytes }];
    write_npz(&mut out, &arrays, Path::new("x.npz")).unwrap();
    out.into_inner()
}

/// A whole training checkpoint of very small networks.
fn checkpoint() -> Vec<u8> {
    let settings = [
        "data.image_px=16",
        "vae.channels=[4]",
        "vae.layers=1",
        "vae.latent_channels=2",
        "vae.groups=2",
        "sit.width=8",
        "sit.depth=1",
        "sit.heads=2",
        "sit.patch=4",
        "align.depth=1",
        "align.projector=8",
        "discriminator.width=4",
        "discriminator.layers=1",
    ];
    let config = Config::load("nano", &settings.map(str::to_string)).unwrap();
    let device = device::cpu();
    let vae = Vae::new(&config.vae_config(), 1, &device).unwrap();
    let sit = Sit::new(&config.sit_config(3, vec![4]).unwrap(), 1, &device).unwrap();
    let critic = Discriminator::new(config.discriminator.width, config.discriminator.layers, 1, &device);
    let trainer = TrainerState { seed: 0, optimizer_steps: [1; 3], data: String::new() };
    let files = [
        ("vae", tensors(&vae)),
        ("sit", tensors(&sit)),
        ("ema", tensors(&sit)),
        ("discriminator", tensors(&critic)),
        ("optimizer_vae", tensors(&OptimizerState::new(&vae))),
        ("optimizer_sit", tensors(&OptimizerState::new(&sit))),
        ("optimizer_discriminator", tensors(&OptimizerState::new(&critic))),
    ];
    let files = files.into_iter().map(|(name, tensors)| (name.to_string(), tensors)).collect();
    let checkpoint = Checkpoint { step: 1, files, state: serde_json::json!({ "trainer": trainer }) };
    let folder = tempfile::tempdir().unwrap();
    export_run(&config, &checkpoint, &vae, folder.path()).unwrap();
    std::fs::read(folder.path().join("checkpoints/0000001.pt")).unwrap()
}

fn images() -> Vec<Vec<u8>> {
    let picture = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([(x * 20) as u8, (y * 30) as u8, 90]));
    let picture = DynamicImage::from(picture);
    let formats = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::Tiff,
    ];
    formats
        .iter()
        .map(|&format| {
            let mut out = Cursor::new(Vec::new());
            picture.write_to(&mut out, format).unwrap();
            out.into_inner()
        })
        .collect()
}
