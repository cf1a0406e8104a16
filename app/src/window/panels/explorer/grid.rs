//! A picture under a grid of latent positions: which one the pointer is at, and one that the arrow keys
//! move.

use egui::{EventFilter, Key, Pos2, Rect, Response, Sense, Ui, Vec2, WidgetInfo, accesskit::Role};

/// The position of `grid` (rows, columns) at a point of `rect`.
pub fn cell_at(rect: Rect, [rows, columns]: [usize; 2], at: Pos2) -> Option<usize> {
    if !rect.contains(at) || rows * columns == 0 {
        return None;
    }
    let share = (at - rect.min) / rect.size();
    let place = |share: f32, count: usize| ((share * count as f32) as usize).min(count - 1);
    Some(place(share.y, rows) * columns + place(share.x, columns))
}

/// Where a position lies in `rect`.
pub fn cell_rect(rect: Rect, [rows, columns]: [usize; 2], index: usize) -> Rect {
    let size = rect.size() / Vec2::new(columns.max(1) as f32, rows.max(1) as f32);
    let (row, column) = (index / columns.max(1), index % columns.max(1));
    Rect::from_min_size(rect.min + Vec2::new(column as f32, row as f32) * size, size)
}

/// The same place in a grid of another size.
pub fn translated(index: usize, from: [usize; 2], to: [usize; 2]) -> usize {
    let along =
        |at: usize, from: usize, to: usize| ((2 * at + 1) * to / (2 * from.max(1))).min(to.max(1) - 1);
    let (row, column) = (index / from[1].max(1), index % from[1].max(1));
    along(row, from[0], to[0]) * to[1] + along(column, from[1], to[1])
}

/// Room for a picture that takes pointer and arrow keys; `name` is what it is called for those who do
/// not see it. Returns what the arrow keys make of `cursor`.
pub fn sensed(
    ui: &mut Ui,
    side: Vec2,
    grid: [usize; 2],
    cursor: usize,
    name: &str,
) -> (Rect, Response, Option<usize>) {
    let (rect, response) = ui.allocate_exact_size(side, Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, name));
    if response.clicked() {
        response.request_focus();
    }
    let mut moved = None;
    if response.has_focus() {
        let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let [rows, columns] = grid;
        let (row, column) = (cursor / columns.max(1), cursor % columns.max(1));
        ui.input(|input| {
            let pressed = |key: Key| input.key_pressed(key);
            let (mut r, mut c) = (row, column);
            if pressed(Key::ArrowUp) {
                r = r.saturating_sub(1);
            }
            if pressed(Key::ArrowDown) {
                r = (r + 1).min(rows.saturating_sub(1));
            }
            if pressed(Key::ArrowLeft) {
                c = c.saturating_sub(1);
            }
            if pressed(Key::ArrowRight) {
                c = (c + 1).min(columns.saturating_sub(1));
            }
            moved = ((r, c) != (row, column)).then_some(r * columns + c);
        });
    }
    (rect, response, moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_positions_and_other_grids_agree() {
        let rect = Rect::from_min_size(Pos2::new(10.0, 20.0), Vec2::new(80.0, 40.0));
        let grid = [4, 8];
        for index in 0..32 {
            assert_eq!(cell_at(rect, grid, cell_rect(rect, grid, index).center()), Some(index));
        }
        assert_eq!(cell_at(rect, grid, Pos2::new(9.0, 30.0)), None);
        assert_eq!(cell_at(rect, grid, rect.max), Some(31));
        assert_eq!(cell_at(rect, [0, 8], rect.center()), None);
        assert_eq!((translated(0, [8, 8], [4, 4]), translated(63, [8, 8], [4, 4])), (0, 15));
        assert_eq!(translated(5, [4, 4], [8, 8]), 3 * 8 + 3);
        assert!((0..16).all(|i| translated(translated(i, [4, 4], [8, 8]), [8, 8], [4, 4]) == i));
    }
}
