-- LrView: controls are what they were described as; nothing is drawn.

local view = { factory = {} }

function view.bind(name) return { bound = name } end

function view.share(name) return { shared = name } end

for _, kind in ipairs({ "row", "column", "static_text", "edit_field", "password_field", "push_button" }) do
  view.factory[kind] = function(_, description)
    assert(type(description) == "table", kind)
    return { kind = kind, description = description }
  end
end

return view
