//! Choosing and describing the device that trains: a hardware adapter through wgpu, or the CPU.
//!
//! `auto` takes a hardware adapter and falls back to the CPU when there is none or it fails, with
//! one line that says why. A *software* adapter (lavapipe, SwiftShader) is 50 to 150 times slower
//! than the CPU device, so it is used on explicit request only.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, DeviceKind, Tensor};

use crate::error::{Error, Result};

/// What a person asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A hardware adapter if there is one that works, else the CPU.
    #[default]
    Auto,
    /// The CPU device.
    Cpu,
    /// A hardware adapter: the best one, or number `N` of `doctor`'s list.
    Gpu(Option<usize>),
    /// A software Vulkan adapter, for tests.
    Software,
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(None)),
            "software" => Ok(Self::Software),
            other => other
                .strip_prefix("gpu:")
                .and_then(|n| n.parse().ok())
                .map(|n| Self::Gpu(Some(n)))
                .ok_or_else(|| {
                    Error::Config(format!(
                        "unknown device {other}; known are auto, cpu, gpu, gpu:N, software"
                    ))
                }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(None) => f.write_str("gpu"),
            Self::Gpu(Some(n)) => write!(f, "gpu:{n}"),
            Self::Software => f.write_str("software"),
        }
    }
}

/// One adapter that wgpu found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Adapter {
    /// Marketing name.
    pub name: String,
    /// "discrete", "integrated", "virtual", "software" or "other".
    pub kind: &'static str,
    /// Vulkan, Metal, Dx12, …
    pub api: String,
    /// Driver name and version.
    pub driver: String,
    /// Largest storage buffer, in bytes: no tensor can be larger.
    pub max_buffer_bytes: u64,
    /// Storage buffers that one shader can see.
    pub max_storage_buffers: u32,
    /// Largest workgroup.
    pub max_workgroup: u32,
    /// Workgroups along one dimension of a launch.
    pub max_workgroups: u32,
    /// Shared memory of a workgroup, in bytes.
    pub workgroup_bytes: u32,
    /// Whether half precision arithmetic is offered.
    pub shader_f16: bool,
    /// Number among the adapters of its kind: how wgpu is asked for it.
    #[serde(skip)]
    rank: usize,
}

impl Adapter {
    /// Whether it is real hardware.
    pub fn is_hardware(&self) -> bool {
        matches!(self.kind, "discrete" | "integrated" | "virtual")
    }

    fn device_kind(&self) -> DeviceKind {
        match self.kind {
            "discrete" => DeviceKind::DiscreteGpu(self.rank),
            "integrated" => DeviceKind::IntegratedGpu(self.rank),
            "virtual" => DeviceKind::VirtualGpu(self.rank),
            "software" => DeviceKind::Cpu,
            _ => DeviceKind::DefaultDevice,
        }
    }

    fn preference(&self) -> usize {
        ["discrete", "integrated", "virtual"].iter().position(|k| *k == self.kind).unwrap_or(usize::MAX)
    }
}

/// A device and the reason for it.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The device; tensors made on it are off the tape.
    pub device: Device,
    /// What it is, in words: "CPU (2 threads)".
    pub name: String,
    /// Why it was taken, one sentence.
    pub reason: String,
    /// Whether it is the CPU device.
    pub is_cpu: bool,
    /// The adapter, unless it is the CPU device.
    pub adapter: Option<Adapter>,
}

/// The CPU device (burn-flex).
pub fn cpu() -> Device {
    Device::flex()
}

/// Threads of the CPU device.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Lets the CPU device use `threads` threads instead of all; works once, before anything is computed.
///
/// # Errors
/// When `threads` is 0 or the threads already run.
pub fn limit_threads(threads: usize) -> Result<()> {
    if threads == 0 {
        return Err(Error::Config("at least one thread is needed".into()));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|e| Error::Device(format!("the number of threads cannot be set: {e}")))
}

/// Lets what computes stand back for what a person waits for: the CPU device's threads, and the engines that are
/// started after it. The system then gives a window that draws on the same cores the processor when it asks, and
/// training the rest, which is nearly all. For Linux; elsewhere it changes nothing. Works once, before anything is
/// computed.
///
/// # Errors
/// When the threads already run.
pub fn stand_back() -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().start_handler(|_| lower_priority());
    pool.build_global().map_err(|e| Error::Device(format!("the threads cannot stand back: {e}")))?;
    STANDS_BACK.store(true, Ordering::Relaxed);
    Ok(())
}

/// Lowers the priority of the thread that calls, and of those that it starts, where [`stand_back`] was asked for.
pub(crate) fn stand_back_here() {
    if STANDS_BACK.load(Ordering::Relaxed) {
        lower_priority();
    }
}

static STANDS_BACK: AtomicBool = AtomicBool::new(false);

fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        const NICER: libc::c_int = 5;
        #[allow(unsafe_code, reason = "a C function without pointers; where it is refused nothing changes")]
        // SAFETY: nice takes an integer; on Linux it is about the thread that calls.
        unsafe {
            libc::nice(NICER);
        }
    }
}

/// All adapters, each API's view of it counted once. Empty where wgpu finds none.
pub fn adapters() -> Vec<Adapter> {
    let instance = wgpu::Instance::default();
    let found =
        catch_unwind(AssertUnwindSafe(|| block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY))));
    let mut all: Vec<Adapter> = Vec::new();
    for adapter in found.unwrap_or_default() {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        };
        all.push(Adapter {
            rank: all.iter().filter(|a| a.kind == kind).count(),
            name: info.name,
            kind,
            api: format!("{:?}", info.backend),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
            max_buffer_bytes: limits.max_storage_buffer_binding_size,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            max_workgroup: limits.max_compute_invocations_per_workgroup,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            shader_f16: adapter.features().contains(wgpu::Features::SHADER_F16),
        });
    }
    all
}

/// wgpu's listing is asynchronous for the web's sake; natively it is ready at once.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// Takes the device that was asked for and proves that it computes.
///
/// # Errors
/// When an adapter was asked for by name and there is none, or it fails.
pub fn choose(choice: DeviceChoice) -> Result<Chosen> {
    match choice {
        DeviceChoice::Cpu => Ok(chosen_cpu("asked for")),
        DeviceChoice::Auto => Ok(choose_auto()),
        DeviceChoice::Gpu(number) => {
            let list = adapters();
            let adapter = match number {
                Some(n) => list.get(n).ok_or_else(|| {
                    Error::Device(format!("there is no adapter {n}; `tandem doctor` lists {}", list.len()))
                })?,
                None => best(&list).ok_or_else(|| {
                    Error::Device(
                        "no hardware GPU was found; use --device cpu, or see `tandem doctor`".into(),
                    )
                })?,
            };
            chosen_adapter(adapter, "asked for")
        }
        DeviceChoice::Software => {
            let list = adapters();
            let adapter = list.iter().find(|a| a.kind == "software").ok_or_else(|| {
                Error::Device("no software Vulkan adapter was found (Debian: mesa-vulkan-drivers)".into())
            })?;
            chosen_adapter(adapter, "asked for")
        }
    }
}

fn best(list: &[Adapter]) -> Option<&Adapter> {
    list.iter().filter(|a| a.is_hardware()).min_by_key(|a| a.preference())
}

fn choose_auto() -> Chosen {
    let list = adapters();
    let Some(adapter) = best(&list) else {
        let reason = if list.is_empty() {
            "no graphics adapter was found"
        } else {
            "only software adapters were found, which are far slower than the CPU device"
        };
        return chosen_cpu(reason);
    };
    match chosen_adapter(adapter, "the best hardware adapter") {
        Ok(chosen) => chosen,
        Err(error) => chosen_cpu(&error.to_string()),
    }
}

fn chosen_cpu(reason: &str) -> Chosen {
    let threads = threads();
    let name = format!("CPU ({threads} thread{})", if threads == 1 { "" } else { "s" });
    Chosen { device: cpu(), name, reason: reason.into(), is_cpu: true, adapter: None }
}

fn chosen_adapter(adapter: &Adapter, reason: &str) -> Result<Chosen> {
    let device = Device::wgpu(adapter.device_kind());
    // Drivers fail when first used, and wgpu then panics: try now, where it can be told.
    let trial = catch_unwind(AssertUnwindSafe(|| {
        let ones = Tensor::<1>::ones([64], &device);
        (ones.clone() + ones).sum().try_into_vec_as::<f32>()
    }));
    match trial {
        Ok(Ok(values)) if values == [128.0] => Ok(Chosen {
            device,
            name: format!("{} ({}, {})", adapter.name, adapter.kind, adapter.api),
            reason: reason.into(),
            is_cpu: false,
            adapter: Some(adapter.clone()),
        }),
        _ => Err(Error::Device(format!(
            "{} was found but does not compute (driver {})",
            adapter.name, adapter.driver
        ))),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_stands_back_does_so_alone_with_those_it_starts() {
        use super::lower_priority;

        /// The niceness of the thread that calls.
        fn nice() -> i32 {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().parse().unwrap()
        }

        let own = nice();
        let both = std::thread::spawn(|| {
            lower_priority();
            (nice(), std::thread::spawn(nice).join().unwrap())
        });
        assert_eq!(both.join().unwrap(), (own + 5, own + 5));
        assert_eq!((nice(), std::thread::spawn(nice).join().unwrap()), (own, own));
    }
}
