//! The latent explorer against its definitions: what is decoded, what is like what, where points lie,
//! and what is said about pictures that cannot be had.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail loudly")]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use tandem_core::align::Teacher;
use tandem_core::data::{DataSource, Picture};
use tandem_core::device::cpu;
use tandem_core::eval::PcaBasis;
use tandem_core::eval::pca::rows_from_latents;
use tandem_core::explore::{
    BasisChoice, Blend, Desk, Edit, Edited, Found, Gallery, LatentQuestion, PictureRef, Scatter, ScatterWish,
    Study, Teachers, View, Wish,
};
use tandem_core::params::host;
use tandem_core::run::Rgb8;
use tandem_core::sample::noise::{Stream, normal, rng};
use tandem_core::sit::{Path as Interpolant, Sit, SitConfig};
use tandem_core::vae::{Vae, VaeConfig};

const PX: usize = 16;

struct NoTeachers;

impl Teachers for NoTeachers {
    fn all(&self) -> Result<Vec<&Teacher>, String> {
        Err("there is no teacher here".into())
    }
}

/// Models with fresh weights, pictures in a folder, and a desk for them.
struct World {
    folder: tempfile::TempDir,
    device: Device,
    vae: Vae,
    sit: Sit,
    desk: Desk,
}

fn picture(seed: usize) -> Rgb8 {
    let pixels = (0..PX * PX * 3).map(|i| ((i * (seed + 3) * 7 + seed * 31) % 251) as u8).collect();
    Rgb8 { width: PX, height: PX, pixels }
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..24 {
            let split = if i < 4 { "val" } else { "train" };
            let class = ["a", "b", "c"][i % 3];
            let parent = folder.path().join(split).join(class);
            std::fs::create_dir_all(&parent).unwrap();
            picture(i).save_png(&parent.join(format!("{i:02}.png"))).unwrap();
        }
        let device = cpu();
        let vae = Vae::new(&VaeConfig::plain(&[8, 8, 8], 1, 4, 4, PX), 1, &device).unwrap();
        let config = SitConfig {
            input_size: 4,
            patch_size: 1,
            in_channels: 4,
            hidden_size: 16,
            depth: 2,
            num_heads: 2,
            mlp_ratio: 2.0,
            num_classes: 3,
            encoder_depth: 1,
            z_dims: vec![8],
            projector_dim: 8,
            qk_norm: false,
            bn_momentum: 0.1,
        };
        let sit = Sit::new(&config, 1, &device).unwrap();
        let desk = Desk::new(Gallery::later(DataSource::Path(folder.path().into()), PX));
        Self { folder, device, vae, sit, desk }
    }

    fn ask_at(&mut self, step: u64, wish: Wish, newer: bool) -> Option<Result<Found, String>> {
        let view = View {
            vae: &self.vae,
            sit: Some(&self.sit),
            without_sit: "",
            path: Interpolant::Linear,
            teachers: &NoTeachers,
            basis: None,
            device: &self.device,
            step,
        };
        let answer = self.desk.answer(&view, &LatentQuestion { id: 5, wish }, &|| newer)?;
        assert_eq!((answer.id, answer.step), (5, step));
        Some(answer.found)
    }

    fn ask(&mut self, wish: Wish) -> Result<Found, String> {
        self.ask_at(1, wish, false).unwrap()
    }

    fn study(&mut self, picture: PictureRef, time: Option<f32>) -> Study {
        match self.ask(Wish::Study { picture, time }).unwrap() {
            Found::Study(study) => *study,
            other => panic!("{other:?}"),
        }
    }

    fn edited(&mut self, edit: Edit) -> Edited {
        match self.ask(Wish::Edit(edit)).unwrap() {
            Found::Edited(edited) => *edited,
            other => panic!("{other:?}"),
        }
    }

    fn refused(&mut self, wish: Wish) -> String {
        let reason = self.ask(wish).unwrap_err();
        assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
        reason
    }

    /// The posterior mean of a picture, without the explorer.
    fn mean(&self, pixels: &Rgb8) -> Vec<f32> {
        let path = self.folder.path().join("alone.png");
        pixels.save_png(&path).unwrap();
        let values = Picture::open(&path, None, 1).unwrap().values();
        let x = Tensor::from_data(TensorData::new(values, [1, 3, PX, PX]), &self.device);
        host(self.vae.encode(x).mode())
    }
}

fn held(index: usize) -> PictureRef {
    PictureRef::Held(index)
}

#[test]
fn a_study_is_what_the_networks_say() {
    let mut world = World::new();
    let study = world.study(held(1), Some(0.5));
    assert_eq!((study.shape, study.original.width), ([4, 4, 4], PX));
    // Held-out pictures are in the order of their names: a/00, a/03, b/01, c/02.
    assert_eq!(study.original, picture(3));
    assert_eq!(study.mean, world.mean(&picture(3)));
    assert!(study.std.iter().all(|std| *std > 0.0));
    let z = Tensor::<4>::from_data(TensorData::new(study.mean.clone(), [1, 4, 4, 4]), &world.device);
    let recon = host(world.vae.decode(z.clone()));
    assert_eq!(study.reconstruction, Rgb8::from_planar_f32(&recon, PX, PX));
    // Likeness in the latent and in the transformer, by definition.
    let noise = normal(&mut rng(0, Stream::Sample(0)), 64);
    let noise = Tensor::<4>::from_data(TensorData::new(noise, [1, 4, 4, 4]), &world.device);
    let x_t = Interpolant::Linear.interpolate(world.sit.latent_norm.normalize_running(z), noise, &[0.5]);
    let hidden = host(world.sit.features(x_t, &[0.5], &[0], 1));
    let latent = rows_from_latents(&study.mean, [1, 4, 4, 4]).unwrap();
    assert_eq!(study.spaces.len(), 2);
    for (space, (rows, width)) in study.spaces.iter().zip([(latent, 4), (hidden, 16)]) {
        let row = |i: usize| &rows[i * width..(i + 1) * width];
        let dot = |i: usize, j: usize| -> f64 {
            row(i).iter().zip(row(j)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        for i in 0..16 {
            let found = space.similarities(i);
            assert!((found[i] - 1.0).abs() < 1e-5, "{}: {}", space.name, found[i]);
            for (j, value) in found.iter().enumerate() {
                let naive = dot(i, j) / (dot(i, i) * dot(j, j)).sqrt();
                assert!((f64::from(*value) - naive).abs() < 1e-5, "{} {i} {j}", space.name);
            }
        }
    }
    assert_eq!(study.without, ["there is no teacher here"]);
    assert_ne!(world.study(held(1), Some(0.9)).spaces[1], study.spaces[1], "time matters");
    assert!(world.study(held(1), None).spaces.is_empty());
}

#[test]
fn corners_whole_regions_and_pushes_by_nothing_are_reconstructions() {
    let mut world = World::new();
    let corners: Vec<_> = (0..4).map(held).collect();
    let recons: Vec<_> = corners.iter().map(|p| world.study(p.clone(), None).reconstruction).collect();
    for way in [Blend::Straight, Blend::Spherical] {
        for (i, at) in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]].into_iter().enumerate() {
            let edit = Edit::Blend { corners: corners.clone(), at, way };
            assert_eq!(world.edited(edit).picture, recons[i], "{way:?} {at:?}");
            let two = Edit::Blend { corners: corners[..2].to_vec(), at, way };
            assert_eq!(world.edited(two).picture, recons[i % 2]);
        }
        let middle = Edit::Blend { corners: corners.clone(), at: [0.5, 0.5], way };
        assert!(recons.iter().all(|recon| *recon != world.edited(middle.clone()).picture));
    }
    let swap = |mask| Edit::Swap { into: held(0), from: held(2), mask };
    assert_eq!(world.edited(swap(None)).picture, recons[2]);
    assert_eq!(world.edited(swap(Some(vec![true; 16]))).picture, recons[2]);
    assert_eq!(world.edited(swap(Some(vec![false; 16]))).picture, recons[0]);
    let half: Vec<_> = (0..16).map(|at| at < 8).collect();
    assert!(recons.iter().all(|recon| *recon != world.edited(swap(Some(half.clone()))).picture));
    let push =
        |amounts: Vec<f32>| Edit::Push { picture: held(3), basis: BasisChoice::Fitted, amounts, mask: None };
    let still = world.edited(push(vec![0.0; 4]));
    assert_eq!((still.picture, still.directions.len()), (recons[3].clone(), 4));
    assert!((still.directions.iter().map(|d| d.share).sum::<f32>() - 1.0).abs() < 1e-5);
    assert_ne!(world.edited(push(vec![2.0])).picture, recons[3]);
}

#[test]
fn decoding_does_not_encode_again_until_the_encoder_changes() {
    let mut world = World::new();
    let corners: Vec<_> = (0..4).map(held).collect();
    let edit =
        |at: f32| Wish::Edit(Edit::Blend { corners: corners.clone(), at: [at, at], way: Blend::Straight });
    for i in 0..5 {
        world.ask(edit(i as f32 / 5.0)).unwrap();
    }
    assert_eq!(world.desk.encodings(), 4);
    world.ask_at(2, edit(0.5), false).unwrap().unwrap();
    assert_eq!(world.desk.encodings(), 8, "another step, other latents");
}

#[test]
fn a_newer_question_overtakes() {
    let mut world = World::new();
    let study = Wish::Study { picture: held(0), time: Some(0.5) };
    assert!(world.ask_at(1, study.clone(), true).is_none());
    assert!(world.ask_at(1, study, false).is_some());
    let edit = Wish::Edit(Edit::Swap { into: held(0), from: held(1), mask: None });
    assert!(world.ask_at(1, edit, true).is_none());
}

#[test]
fn pictures_of_any_size_are_brought_to_the_models() {
    let mut world = World::new();
    let path = world.folder.path().join("wide.png");
    Rgb8::filled(40, 23, [200, 10, 90]).save_png(&path).unwrap();
    let study = world.study(PictureRef::File(path.clone()), None);
    assert_eq!((study.original.width, study.original.height), (PX, PX));
    assert_eq!(study.original.pixels[..3], [200, 10, 90]);
    let tiny = world.folder.path().join("tiny.png");
    Rgb8::filled(1, 1, [7, 8, 9]).save_png(&tiny).unwrap();
    assert_eq!(world.study(PictureRef::File(tiny), None).original.pixels[..3], [7, 8, 9]);
}

#[test]
fn what_cannot_be_is_told_in_one_line() {
    let mut world = World::new();
    let study = |path: PathBuf| Wish::Study { picture: PictureRef::File(path), time: None };
    let missing = world.refused(study("/no/such/picture.png".into()));
    assert!(missing.contains("/no/such/picture.png"), "{missing}");
    let broken = world.folder.path().join("broken.png");
    std::fs::write(&broken, "this is\nno picture").unwrap();
    assert!(world.refused(study(broken.clone())).contains("not a picture"));
    let mut bomb = std::fs::read(world.folder.path().join("val/a/00.png")).unwrap();
    bomb[16..20].copy_from_slice(&100_000u32.to_be_bytes());
    std::fs::write(&broken, bomb).unwrap();
    world.refused(study(broken));
    assert!(
        world
            .refused(Wish::Study { picture: held(4), time: None })
            .contains("there is no held-out picture 5")
    );
    let edit = |edit| Wish::Edit(edit);
    let mask = Some(vec![true; 9]);
    let swap = Edit::Swap { into: held(0), from: held(1), mask: mask.clone() };
    assert!(world.refused(edit(swap)).contains("9 positions"));
    let push =
        Edit::Push { picture: held(0), basis: BasisChoice::Fitted, amounts: vec![f32::NAN], mask: None };
    assert!(world.refused(edit(push)).contains("finite"));
    let push = Edit::Push { picture: held(0), basis: BasisChoice::Run, amounts: vec![], mask: None };
    assert!(world.refused(edit(push)).contains("no basis of its own"));
    let blend = Edit::Blend { corners: vec![held(0); 3], at: [0.0; 2], way: Blend::Straight };
    assert!(world.refused(edit(blend)).contains("two or four"));
    let blend = Edit::Blend { corners: Vec::new(), at: [0.0; 2], way: Blend::Straight };
    assert!(world.refused(edit(blend)).contains("two or four"));
    let many = Wish::Pictures((0..65).map(PictureRef::Train).collect());
    assert!(world.refused(many).contains("at most 64"));
}

#[test]
fn a_picture_that_cannot_be_shown_does_not_take_the_others_along() {
    let mut world = World::new();
    let wanted = vec![held(0), PictureRef::File("/no/such.png".into()), PictureRef::Train(19)];
    let Found::Pictures(all) = world.ask(Wish::Pictures(wanted)).unwrap() else { panic!() };
    assert!(all[0].1.is_ok() && all[1].1.is_err());
    let last = all[2].1.as_ref().unwrap();
    assert_eq!((last.label, last.name.as_str()), (Some(2), "c"));
}

#[test]
fn without_data_files_still_work_and_the_reason_is_told() {
    let mut world = World::new();
    world.desk = Desk::new(Gallery::later(DataSource::Path("/no/such/data".into()), PX));
    let Found::About(about) = world.ask(Wish::About).unwrap() else { panic!() };
    assert_eq!(about.counts, (0, 0));
    assert!(about.without_data.unwrap().contains("/no/such/data"));
    assert!(world.refused(Wish::Study { picture: held(0), time: None }).contains("/no/such/data"));
    let wish = ScatterWish { count: 16, flat: false, anew: false };
    assert!(world.refused(Wish::Scatter(wish)).contains("/no/such/data"));
    let file = PictureRef::File(world.folder.path().join("train/a/06.png"));
    assert_eq!(world.study(file.clone(), None).original, picture(6));
    // Directions are then fitted to the pictures that were looked at.
    let push = Edit::Push { picture: file, basis: BasisChoice::Fitted, amounts: vec![1.0], mask: None };
    assert_eq!(world.edited(push).directions.len(), 4);
}

/// Works until nothing is left to do; the last plot.
fn plotted(world: &mut World) -> Scatter {
    let began = std::time::Instant::now();
    let mut last = None;
    while world.desk.is_busy() {
        assert!(began.elapsed().as_secs() < 60, "the plot does not come");
        last = world.desk.work(&world.device.clone(), std::time::Duration::from_millis(5)).or(last);
    }
    last.unwrap()
}

#[test]
fn the_scatter_plot_is_the_pca_of_the_same_latents() {
    let mut world = World::new();
    let wish = ScatterWish { count: 4000, flat: false, anew: false };
    world.ask(Wish::Scatter(wish)).unwrap();
    let scatter = plotted(&mut world);
    assert_eq!((scatter.done, scatter.points.len(), scatter.thumbs.len()), ((20, 20), 20, 20));
    // Training pictures in the order of their names: class a first.
    let mut order: Vec<_> = (4..24).collect();
    order.sort_by_key(|i| (i % 3, *i));
    let order: Vec<usize> = scatter.pictures.iter().map(|(index, _)| order[*index]).collect();
    assert!(order.windows(2).any(|pair| pair[0] % 3 > pair[1] % 3), "classes come mixed");
    let latents: Vec<Vec<f32>> = order.iter().map(|i| world.mean(&picture(*i))).collect();
    let means: Vec<f32> =
        latents.iter().flat_map(|z| z.chunks(16).map(|plane| plane.iter().sum::<f32>() / 16.0)).collect();
    let same = |scatter: &Scatter, rows: &[f32], width: usize| {
        let basis = PcaBasis::fit(rows, width, 2).unwrap();
        let expected = basis.project(rows, [20, width, 1, 1]).unwrap();
        let found: Vec<f32> = scatter.points.iter().flatten().copied().collect();
        let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-4, "{apart}");
        assert!((scatter.share[0] - basis.explained_variance_ratio[0]).abs() < 1e-4);
    };
    same(&scatter, &means, 4);
    let labels: Vec<_> = order.iter().map(|i| i % 3).collect();
    assert_eq!(scatter.pictures.iter().map(|(_, label)| *label).collect::<Vec<_>>(), labels);
    assert_eq!(scatter.thumbs[0], picture(order[0]));
    // The whole latents, without encoding again.
    world.ask(Wish::Scatter(ScatterWish { flat: true, ..wish })).unwrap();
    let flat = plotted(&mut world);
    same(&flat, &latents.concat(), 64);
    assert_ne!(flat.points, scatter.points);
}

#[test]
fn a_stopped_plot_shows_what_is_done_and_broken_pictures_are_left_out() {
    let mut world = World::new();
    std::fs::write(world.folder.path().join("train/a/06.png"), "no picture").unwrap();
    let wish = ScatterWish { count: 100, flat: false, anew: true };
    world.ask(Wish::Scatter(wish)).unwrap();
    let whole = plotted(&mut world);
    assert_eq!((whole.points.len(), whole.left_out), (19, 1));
    world.ask(Wish::Scatter(wish)).unwrap();
    let device = world.device.clone();
    for _ in 0..3 {
        world.desk.work(&device, std::time::Duration::ZERO);
    }
    world.ask(Wish::StopScatter).unwrap();
    let part = plotted(&mut world);
    assert!(!part.points.is_empty() && part.points.len() < 19, "{}", part.points.len());
    assert_eq!(part.done.0, part.done.1);
}

#[test]
fn classes_and_counts_are_told() {
    let mut world = World::new();
    let Found::About(about) = world.ask(Wish::About).unwrap() else { panic!() };
    assert_eq!((about.counts, about.latent, about.image_px), ((4, 20), [4, 4, 4], PX));
    assert_eq!(
        (about.classes.as_slice(), about.align_depth),
        (&["a", "b", "c"].map(String::from)[..], Some(1))
    );
    assert!(Path::new(world.folder.path()).is_dir() && about.run_basis.is_none());
}
