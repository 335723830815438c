#!/usr/bin/wish8.6
# Colour bars over the upper two thirds of the screen, a tone, and what the keyboard and the mouse say.
#
#   demo [FREQUENCY]      in Hz, 440 if it is not given; 0 for silence
#
# Tests look at the bars' middles, and at the two fields below, which change their colour once a key or a button was
# pressed.

set frequency [expr {$argc ? [lindex $argv 0] : 440}]
if {![string is integer -strict $frequency] || $frequency < 0 || $frequency > 20000} {
    puts stderr "demo: $frequency is no frequency from 0 to 20000 Hz"
    exit 2
}

set width [winfo screenwidth .]
set height [winfo screenheight .]
# Without a window manager a window has the place it asks for; with one it is told to leave the window alone.
wm overrideredirect . 1
wm geometry . ${width}x$height+0+0
canvas .screen -background black -highlightthickness 0
pack .screen -fill both -expand 1

set bars {#ffffff #ffff00 #00ffff #00ff00 #ff00ff #ff0000 #0000ff}
set bar [expr {$width / double([llength $bars])}]
set edge [expr {$height * 2 / 3}]
foreach colour $bars {
    .screen create rectangle [expr {[incr number] * $bar - $bar}] 0 [expr {$number * $bar}] $edge \
        -fill $colour -outline ""
}

# field NAME LEFT TEXT: half of what is below the bars
proc field {name left text} {
    global width height edge
    .screen create rectangle $left $edge [expr {$left + $width / 2}] $height -fill #444444 -outline "" -tags $name
    .screen create text [expr {$left + $width / 4}] [expr {($edge + $height) / 2}] -text $text -fill white \
        -font {{DejaVu Sans} -24} -tags ${name}-text
}
field key 0 "press a key"
field button [expr {$width / 2}] "move the mouse, click"

proc tell {name text {colour ""}} {
    .screen itemconfigure ${name}-text -text $text
    if {$colour ne ""} {
        .screen itemconfigure $name -fill $colour
    }
}
bind . <KeyPress> {tell key "%K" #008800}
bind . <ButtonPress> {tell button "button %b at %X, %Y" #000088}
bind . <Motion> {tell button "%X, %Y"}
focus -force .

# Sound is a matter of its own: without a card the picture is there all the same, and the app's log says why.
if {$frequency} {
    exec speaker-test --test sine --frequency $frequency --channels 2 >/dev/null 2>@stderr &
}
