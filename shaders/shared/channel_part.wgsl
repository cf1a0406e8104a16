// The part of a channel that one workgroup serves where groups of a group norm are few and large.
struct Info {
    workgroups: u32,     // B C parts
    parts: u32,          // into which the pixels of a channel are cut
    span: u32,           // pixels of a part
    area: u32,           // H W
    channels: u32,       // C
    group_channels: u32, // channels in a group
    eps: f32,
}

struct Part {
    plane: u32, // b C + c
    c: u32,
    group: u32, // b G + g
    begin: u32, // its first value
    end: u32,   // one behind its last
}

fn part_at(index: u32) -> Part {
    let plane = index / info.parts;
    let pixel = min((index % info.parts) * info.span, info.area);
    let start = plane * info.area;
    let end = start + min(pixel + info.span, info.area);
    return Part(plane, plane % info.channels, plane / info.group_channels, start + pixel, end);
}
