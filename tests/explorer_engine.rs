//! Questions about latents to a running engine: they are answered while a run trains, and the run is the
//! same, bit for bit, as one that nobody asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "tests fail loudly, measurements are printed"
)]

#[path = "support/outcome.rs"]
mod outcome;
mod tiny;

use std::path::Path;
use std::time::{Duration, Instant};

use outcome::outcome;
use tandem_core::config::Config;
use tandem_core::device::DeviceChoice;
use tandem_core::engine::{Command, Engine, Event, Start};
use tandem_core::explore::{
    BasisChoice, Blend, Edit, Found, LatentAnswer, LatentQuestion, PictureRef, ScatterWish, Wish,
};
use tiny::TINY;

const PATIENCE: Duration = Duration::from_secs(120);

fn new_run(out: &Path, steps: u64, settings: &[&str]) -> Start {
    let own = [format!("train.steps={steps}"), "preview.every=3".into(), "eval.every=0".into()];
    let settings: Vec<String> = TINY.iter().chain(settings).map(|s| s.to_string()).chain(own).collect();
    let config = Box::new(Config::load("nano", &settings).unwrap());
    Start::New { config, out: Some(out.to_path_buf()), name: "test".into(), device: DeviceChoice::Cpu }
}

fn held(index: usize) -> PictureRef {
    PictureRef::Held(index)
}

/// Questions of every kind, one after the other.
fn wish(number: u64) -> Wish {
    let mask = Some((0..64).map(|at| (at as u64 + number).is_multiple_of(3)).collect());
    match number % 7 {
        0 => Wish::About,
        1 => Wish::Pictures(vec![held(0), PictureRef::Train(number as usize)]),
        2 => Wish::Study { picture: held(number as usize % 50), time: Some(0.3) },
        3 => Wish::Edit(Edit::Push {
            picture: held(1),
            basis: if number.is_multiple_of(2) { BasisChoice::Run } else { BasisChoice::Fitted },
            amounts: vec![1.0, -2.0],
            mask,
        }),
        4 => Wish::Edit(Edit::Blend {
            corners: (0..4).map(held).collect(),
            at: [number as f32 * 0.01 % 1.0, 0.4],
            way: Blend::Spherical,
        }),
        5 => Wish::Edit(Edit::Swap { into: held(0), from: PictureRef::Train(7), mask }),
        _ => Wish::Scatter(ScatterWish { count: 64, flat: number.is_multiple_of(2), anew: true }),
    }
}

/// What was heard of questions while a run trained.
#[derive(Default)]
struct Heard {
    answers: Vec<LatentAnswer>,
    /// Answers before, and after, each step was told.
    between_steps: Vec<usize>,
    plots: usize,
}

/// Trains to the end; asks without a pause when `asks`.
fn train(start: Start, asks: bool) -> Heard {
    let engine = Engine::start(start).unwrap();
    let mut heard = Heard::default();
    let (mut number, mut since) = (0, 0);
    let ask =
        |number: u64| engine.roads.latent_questions.put(LatentQuestion { id: number, wish: wish(number) });
    for event in engine.events.iter() {
        match event {
            Event::Failed(reason) => panic!("{reason}"),
            Event::Started { .. } if asks => ask(number),
            Event::Step { .. } => heard.between_steps.push(std::mem::take(&mut since)),
            Event::Explored => {
                let Some(answer) = engine.roads.latent_answers.take() else { continue };
                assert_eq!(answer.id, number, "the newest question is answered");
                heard.answers.push(*answer);
                since += 1;
                number += 1;
                ask(number);
            }
            Event::Scattered => heard.plots += usize::from(engine.roads.scatter.take().is_some()),
            _ => {}
        }
    }
    heard
}

#[test]
fn a_run_that_is_asked_all_the_time_is_the_run_that_is_not() {
    const STEPS: u64 = 12;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let silent = train(new_run(&at("silent"), STEPS, &[]), false);
    assert!(silent.answers.is_empty());
    let heard = train(new_run(&at("asked"), STEPS, &[]), true);
    let most = heard.between_steps.iter().max().copied().unwrap_or(0);
    println!(
        "{} answers in {STEPS} steps, at most {most} in one; {} plots",
        heard.answers.len(),
        heard.plots
    );
    assert!(most >= 4, "questions are answered inside a step: {:?}", heard.between_steps);
    assert!(heard.answers.len() > 20, "only {} answers", heard.answers.len());
    for answer in &heard.answers {
        let early = matches!(&answer.found, Err(reason) if reason.contains("before its first preview"));
        assert!(early || answer.found.is_ok(), "{:?}", answer.found);
    }
    let of = |found: fn(&Found) -> bool| {
        heard.answers.iter().filter(|answer| answer.found.as_ref().is_ok_and(found)).count()
    };
    let studies = of(|found| matches!(found, Found::Study(study) if study.spaces.len() == 3));
    assert!(studies > 0 && of(|found| matches!(found, Found::Edited(_))) > 3, "of each kind some");
    assert_eq!(outcome(&at("asked"), STEPS), outcome(&at("silent"), STEPS));
    train(new_run(&at("other"), STEPS, &["train.seed=1"]), false);
    assert_ne!(outcome(&at("other"), STEPS).0, outcome(&at("silent"), STEPS).0, "the comparison cannot fail");
}

/// Asks and waits for the answer.
fn answer(engine: &Engine, id: u64, wish: Wish) -> Result<Found, String> {
    engine.roads.latent_questions.put(LatentQuestion { id, wish });
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Ok(Event::Failed(reason)) = engine.events.recv_timeout(Duration::from_millis(5)) {
            panic!("{reason}");
        }
        if let Some(answer) = engine.roads.latent_answers.take() {
            assert_eq!(answer.id, id);
            return answer.found;
        }
    }
    panic!("no answer to question {id}");
}

fn first(engine: &Engine) -> Event {
    engine.events.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_finished_run_and_its_autoencoder_alone_answer_and_a_paused_run_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(new_run(&run, 3, &[]), false);

    let engine = Engine::start(Start::Look { folder: run.clone(), device: DeviceChoice::Cpu }).unwrap();
    assert!(matches!(first(&engine), Event::Looking { step: 3, .. }));
    let Found::About(about) = answer(&engine, 1, Wish::About).unwrap() else { panic!() };
    assert_eq!(about.run_basis.map(|basis| basis.len()), Some(3), "the run's own directions");
    let study = Wish::Study { picture: held(3), time: Some(0.5) };
    let Found::Study(study) = answer(&engine, 2, study).unwrap() else { panic!() };
    let names: Vec<_> = study.spaces.iter().map(|space| space.name.as_str()).collect();
    assert_eq!(names, ["Latent", "Transformer, block 1", "efficientnet-lite0"]);
    drop(engine);

    let model = run.display().to_string();
    let start = |model: String, px| Start::Explore { model, px, device: DeviceChoice::Cpu };
    let engine = Engine::start(start(model.clone(), Some(32))).unwrap();
    assert!(matches!(first(&engine), Event::Exploring { image_px: 32, .. }));
    let wish = Wish::Study { picture: held(0), time: Some(0.5) };
    let Found::Study(study) = answer(&engine, 1, wish).unwrap() else { panic!() };
    assert_eq!((study.shape[1], study.spaces.len(), study.without.len()), (16, 1, 2));
    assert!(study.without.iter().all(|line| line.contains("open a run")), "{:?}", study.without);
    drop(engine);

    for (model, px, words) in [
        ("/no/such/model", None, "/no/such/model"),
        (folder.path().to_str().unwrap(), None, "holds no model"),
        (model.as_str(), Some(33), "33 px do not fit"),
    ] {
        let engine = Engine::start(start(model.into(), px)).unwrap();
        let Event::Failed(reason) = first(&engine) else { panic!("{model} opened") };
        assert!(reason.contains(words) && !reason.contains('\n'), "{reason}");
    }

    let paused = Engine::start(new_run(&folder.path().join("paused"), 1000, &[])).unwrap();
    paused.commands.send(Command::Pause).unwrap();
    while !matches!(first(&paused), Event::Paused) {}
    let wish = Wish::Edit(Edit::Swap { into: held(0), from: held(1), mask: None });
    assert!(matches!(answer(&paused, 9, wish).unwrap(), Found::Edited(_)));
    paused.commands.send(Command::Abandon).unwrap();
}

/// Asks for blends without a pause for some time; answers a second.
fn rate(engine: &Engine, seconds: f64) -> (f64, u64) {
    let (mut asked, mut answered, mut steps) = (0u64, 0u64, 0u64);
    let ask = |number: u64| {
        let at = [(number as f32 * 0.013) % 1.0, (number as f32 * 0.007) % 1.0];
        let edit = Edit::Blend { corners: (0..4).map(held).collect(), at, way: Blend::Straight };
        engine.roads.latent_questions.put(LatentQuestion { id: number, wish: Wish::Edit(edit) });
    };
    ask(asked);
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < seconds {
        match engine.events.recv_timeout(Duration::from_millis(100)) {
            Ok(Event::Failed(reason)) => panic!("{reason}"),
            Ok(Event::Explored) => {
                if let Some(answer) = engine.roads.latent_answers.take() {
                    assert!(answer.found.is_ok(), "{:?}", answer.found);
                    answered += 1;
                    asked += 1;
                    ask(asked);
                }
            }
            Ok(Event::Step { .. }) => steps += 1,
            _ => {}
        }
    }
    (answered as f64 / began.elapsed().as_secs_f64(), steps)
}

/// `cargo test --release --workspace --test explorer_engine -- --ignored --nocapture`, with nothing
/// beside it.
#[test]
#[ignore = "measures: wants the machine for itself"]
fn nano_decodes_ten_a_second_at_rest_and_four_while_it_trains() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let settings: Vec<String> =
        ["train.steps=100000", "preview.every=1000000", "eval.every=0"].map(String::from).into();
    let config = Box::new(Config::load("nano", &settings).unwrap());
    let start = Start::New { config, out: Some(run.clone()), name: "rate".into(), device: DeviceChoice::Cpu };
    let engine = Engine::start(start).unwrap();
    while !matches!(first(&engine), Event::Step { step: 2, .. }) {}
    let began = Instant::now();
    let mut alone = 0;
    while began.elapsed().as_secs_f64() < 10.0 {
        alone += u64::from(matches!(
            engine.events.recv_timeout(Duration::from_millis(100)),
            Ok(Event::Step { .. })
        ));
    }
    let (training, steps) = rate(&engine, 20.0);
    println!("while training: {training:.1} decodes/s, {:.2} steps/s", steps as f64 / 20.0);
    println!("nobody asks: {:.2} steps/s", alone as f64 / 10.0);
    engine.commands.send(Command::Stop).unwrap();
    while !matches!(first(&engine), Event::Finished { .. }) {}
    drop(engine);
    let engine = Engine::start(Start::Look { folder: run, device: DeviceChoice::Cpu }).unwrap();
    assert!(matches!(first(&engine), Event::Looking { .. }));
    let (resting, _) = rate(&engine, 10.0);
    println!("at rest: {resting:.1} decodes/s");
    assert!(training >= 4.0 && resting >= 10.0, "training {training:.1}, at rest {resting:.1}");
}
