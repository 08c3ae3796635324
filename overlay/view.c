/* The text view of the caption window (view.h). A line of the model is a line of its buffer, with
 * the same bytes. */
#include "overlay/view.h"

#include "overlay/tint.h"

#include <math.h>

enum {
    SCROLL_US = 150000, /* a row scrolls in this time, where motion is wanted */
    OLDER_ROWS = 12,
};

struct view {
    GtkWidget *scroll;
    GtkTextView *text;
    GtkTextBuffer *buffer;
    GtkTextTag *looks[3]; /* [caption_look], NULL: as the style has it */
    GtkAdjustment *place;
    size_t lines;    /* of the buffer that are the model's */
    double floor;    /* the height that the text had: it does not fall while one grows */
    bool scrolled;   /* somebody looks at older lines: nothing moves */
    unsigned moves;  /* the tick callback that scrolls; 0: none */
    unsigned judges; /* the idle callback that looks where somebody has scrolled to; 0: none */
    double from;
    int64_t began_us;
};

static double end_of(const struct view *view)
{
    return gtk_adjustment_get_upper(view->place) - gtk_adjustment_get_page_size(view->place);
}

static gboolean move_on(GtkWidget *widget, GdkFrameClock *clock, void *user)
{
    struct view *view = user;
    (void)widget;
    double t = (double)(gdk_frame_clock_get_frame_time(clock) - view->began_us) / SCROLL_US;
    double part = t < 1 ? 1 - pow(1 - t, 3) : 1;
    gtk_adjustment_set_value(view->place, view->from + (end_of(view) - view->from) * part);
    if (t < 1)
        return G_SOURCE_CONTINUE;
    view->moves = 0;
    return G_SOURCE_REMOVE;
}

static bool wants_motion(const struct view *view)
{
    gboolean motion;
    g_object_get(gtk_widget_get_settings(view->scroll), "gtk-enable-animations", &motion, NULL);
    return motion;
}

static void stop_moving(struct view *view)
{
    if (view->moves)
        gtk_widget_remove_tick_callback(view->scroll, view->moves);
    view->moves = 0;
}

/* Called when the text has another height, or the window. */
static void follow(GtkAdjustment *place, void *user)
{
    struct view *view = user;
    GdkFrameClock *clock = gtk_widget_get_frame_clock(view->scroll);
    if (view->scrolled || view->moves || gtk_adjustment_get_value(place) >= end_of(view))
        return;
    if (!clock || !wants_motion(view)) {
        gtk_adjustment_set_value(place, end_of(view));
        return;
    }
    view->from = gtk_adjustment_get_value(place);
    view->began_us = gdk_frame_clock_get_frame_time(clock);
    view->moves = gtk_widget_add_tick_callback(view->scroll, move_on, view, NULL);
}

static gboolean judge(void *user)
{
    struct view *view = user;
    view->judges = 0;
    view->scrolled = gtk_adjustment_get_value(view->place) < end_of(view) - 1;
    return G_SOURCE_REMOVE;
}

/* Somebody turned a wheel or pressed a key: where they want to be is known once that was done. */
static void judge_soon(struct view *view)
{
    stop_moving(view);
    if (!view->judges)
        view->judges = g_idle_add(judge, view);
}

static gboolean wheel_turned(GtkEventController *c, double x, double y, void *view)
{
    (void)c, (void)x, (void)y;
    judge_soon(view);
    return FALSE;
}

static gboolean key_pressed(GtkEventController *c, unsigned key, unsigned code,
                            GdkModifierType held, void *view)
{
    (void)c, (void)key, (void)code, (void)held;
    judge_soon(view);
    return FALSE;
}

static void button_pressed(GtkGesture *gesture, int n, double x, double y, void *user)
{
    struct view *view = user;
    (void)gesture, (void)n, (void)x, (void)y;
    stop_moving(view);
    view->scrolled = true; /* what is being selected stays where it is */
}

static void button_released(GtkGesture *gesture, int n, double x, double y, void *view)
{
    (void)gesture, (void)n, (void)x, (void)y;
    judge_soon(view);
}

static void edge_reached(GtkScrolledWindow *scroll, GtkPositionType edge, void *user)
{
    struct view *view = user;
    (void)scroll;
    if (edge == GTK_POS_BOTTOM)
        view->scrolled = false;
}

static void add_controller(struct view *view, GtkEventController *controller)
{
    gtk_event_controller_set_propagation_phase(controller, GTK_PHASE_CAPTURE);
    gtk_widget_add_controller(view->scroll, controller);
}

static void listen_to_user(struct view *view)
{
    GtkEventController *wheel =
        gtk_event_controller_scroll_new(GTK_EVENT_CONTROLLER_SCROLL_VERTICAL);
    GtkEventController *keys = gtk_event_controller_key_new();
    GtkGesture *click = gtk_gesture_click_new();
    g_signal_connect(wheel, "scroll", G_CALLBACK(wheel_turned), view);
    g_signal_connect(keys, "key-pressed", G_CALLBACK(key_pressed), view);
    g_signal_connect(click, "pressed", G_CALLBACK(button_pressed), view);
    g_signal_connect(click, "released", G_CALLBACK(button_released), view);
    g_signal_connect(click, "stopped", G_CALLBACK(gtk_event_controller_reset), NULL);
    g_signal_connect(view->scroll, "edge-reached", G_CALLBACK(edge_reached), view);
    add_controller(view, wheel);
    add_controller(view, keys);
    add_controller(view, GTK_EVENT_CONTROLLER(click));
}

/* Read by screen readers as a log, whose new lines they tell. */
static GtkTextView *create_text(void)
{
    GtkTextView *text =
        g_object_new(GTK_TYPE_TEXT_VIEW, "accessible-role", GTK_ACCESSIBLE_ROLE_LOG, "editable",
                     FALSE, "cursor-visible", FALSE, "wrap-mode", GTK_WRAP_WORD_CHAR, NULL);
    gtk_accessible_update_property(GTK_ACCESSIBLE(text), GTK_ACCESSIBLE_PROPERTY_LABEL, "Captions",
                                   GTK_ACCESSIBLE_PROPERTY_MULTI_LINE, TRUE,
                                   GTK_ACCESSIBLE_PROPERTY_READ_ONLY, TRUE, -1);
    return text;
}

/* The table of the buffer's tags owns it. */
static void add_look(struct view *view, enum caption_look look, const char *name)
{
    view->looks[look] = tint_create(name);
    gtk_text_tag_table_add(gtk_text_buffer_get_tag_table(view->buffer), view->looks[look]);
    g_object_unref(view->looks[look]);
}

struct view *view_create(void)
{
    struct view *view = g_new0(struct view, 1);
    view->text = create_text();
    view->buffer = gtk_text_view_get_buffer(view->text);
    gtk_text_buffer_set_enable_undo(view->buffer, FALSE);
    add_look(view, CAPTION_GUESS, "guess");
    add_look(view, CAPTION_UNSURE, "unsure");
    g_object_set(view->looks[CAPTION_UNSURE], "underline", PANGO_UNDERLINE_ERROR, NULL); /* dots */
    view->scroll = gtk_scrolled_window_new();
    gtk_widget_add_css_class(view->scroll, "caption-text");
    gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(view->scroll), GTK_WIDGET(view->text));
    view->place = gtk_scrolled_window_get_vadjustment(GTK_SCROLLED_WINDOW(view->scroll));
    g_signal_connect(view->place, "changed", G_CALLBACK(follow), view);
    listen_to_user(view);
    return view;
}

void view_destroy(struct view *view)
{
    if (!view)
        return;
    if (view->judges)
        g_source_remove(view->judges);
    g_free(view);
}

GtkWidget *view_widget(struct view *view)
{
    return view->scroll;
}

static GtkTextIter place_of(struct view *view, size_t line, size_t byte)
{
    GtkTextIter iter;
    gtk_text_buffer_get_iter_at_line_index(view->buffer, &iter, (int)line, (int)byte);
    return iter;
}

static GtkTextIter end_of_line(struct view *view, size_t line)
{
    GtkTextIter iter = place_of(view, line, 0);
    if (!gtk_text_iter_ends_line(&iter))
        gtk_text_iter_forward_to_line_end(&iter);
    return iter;
}

static void add_line(struct view *view, size_t index)
{
    GtkTextIter iter = place_of(view, index, 0);
    if (index == view->lines)
        gtk_text_buffer_get_end_iter(view->buffer, &iter);
    if (view->lines)
        gtk_text_buffer_insert(view->buffer, &iter, "\n", 1);
    view->lines++;
}

static void remove_line(struct view *view, size_t index)
{
    GtkTextIter begin = place_of(view, index, 0), end = end_of_line(view, index);
    if (!gtk_text_iter_forward_char(&end) && index > 0)
        gtk_text_iter_backward_char(&begin);
    gtk_text_buffer_delete(view->buffer, &begin, &end);
    view->lines--;
}

static void write_text(struct view *view, const struct caption_line *line, size_t index,
                       size_t from)
{
    GtkTextIter begin = place_of(view, index, from), end = end_of_line(view, index);
    if (!gtk_text_iter_equal(&begin, &end))
        gtk_text_buffer_delete(view->buffer, &begin, &end);
    if (from < line->size)
        gtk_text_buffer_insert(view->buffer, &begin, line->text + from, (int)(line->size - from));
}

static void write_looks(struct view *view, const struct caption_line *line, size_t index,
                        size_t from)
{
    GtkTextIter begin = place_of(view, index, from), end = end_of_line(view, index);
    gtk_text_buffer_remove_all_tags(view->buffer, &begin, &end);
    for (size_t until; from < line->size; from = until) {
        GtkTextTag *look = view->looks[caption_look(line, from, &until)];
        begin = place_of(view, index, from);
        end = place_of(view, index, until);
        if (look)
            gtk_text_buffer_apply_tag(view->buffer, look, &begin, &end);
    }
}

/* A text that became shorter keeps its height until the next line is there, so that the lines above
 * it do not come down and go up again. */
static void keep_height(struct view *view)
{
    GtkTextIter end;
    GdkRectangle last;
    gtk_text_buffer_get_end_iter(view->buffer, &end);
    gtk_text_view_get_iter_location(view->text, &end, &last);
    double height = last.y + last.height, missing = 0;
    if (height < view->floor && view->floor > gtk_adjustment_get_page_size(view->place))
        missing = view->floor - height;
    else
        view->floor = height;
    if (gtk_text_view_get_bottom_margin(view->text) != (int)missing)
        gtk_text_view_set_bottom_margin(view->text, (int)missing);
}

/* A text that is complete is told to who cannot see it. */
static void announce(struct view *view, const struct caption_line *line)
{
    if (!line->complete)
        return;
    gtk_accessible_update_property(GTK_ACCESSIBLE(view->text), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                   line->text, -1);
#if GTK_CHECK_VERSION(4, 14, 0)
    gtk_accessible_announce(GTK_ACCESSIBLE(view->text), line->text,
                            GTK_ACCESSIBLE_ANNOUNCEMENT_PRIORITY_MEDIUM);
#endif
}

void view_take(struct view *view, const struct captions *captions, struct captions_change change)
{
    if (change.what == CAPTIONS_SAME)
        return;
    if (change.what == CAPTIONS_ADDED)
        add_line(view, change.index);
    if (change.what == CAPTIONS_REMOVED) {
        remove_line(view, change.index);
    } else {
        const struct caption_line *line = &captions->line[change.index - change.dropped];
        write_text(view, line, change.index, change.from);
        write_looks(view, line, change.index, change.look_from);
        announce(view, line);
    }
    if (change.dropped)
        remove_line(view, 0);
    if (change.dropped || change.what == CAPTIONS_REMOVED)
        view->floor = 0;
    keep_height(view);
}

/* In pixels, of the font as it is styled. */
static int measure_row(struct view *view)
{
    int height;
    PangoLayout *layout = gtk_widget_create_pango_layout(GTK_WIDGET(view->text), "X");
    pango_layout_get_pixel_size(layout, NULL, &height);
    g_object_unref(layout);
    return height;
}

void view_set_rows(struct view *view, int rows, bool older)
{
    GtkScrolledWindow *scroll = GTK_SCROLLED_WINDOW(view->scroll);
    int height = measure_row(view) * (older && rows < OLDER_ROWS ? OLDER_ROWS : rows);
    gtk_scrolled_window_set_policy(scroll, GTK_POLICY_NEVER,
                                   older ? GTK_POLICY_AUTOMATIC : GTK_POLICY_EXTERNAL);
    gtk_scrolled_window_set_min_content_height(scroll, -1);
    gtk_scrolled_window_set_max_content_height(scroll, height);
    gtk_scrolled_window_set_min_content_height(scroll, height);
    view->floor = 0;
    gtk_text_view_set_bottom_margin(view->text, 0);
}

void view_set_contrast(struct view *view, bool high)
{
    tint_set(view->looks[CAPTION_GUESS], high ? "#d0d0d0" : "#a9a9a9");
    tint_set(view->looks[CAPTION_UNSURE], high ? "#ffffff" : "#bdbdbd");
}

int view_pixels_above(const struct view *view)
{
    return (int)gtk_adjustment_get_value(view->place);
}

void view_copy(struct view *view)
{
    GtkTextIter begin, end;
    if (!gtk_text_buffer_get_selection_bounds(view->buffer, &begin, &end))
        gtk_text_buffer_get_bounds(view->buffer, &begin, &end);
    char *text = gtk_text_buffer_get_text(view->buffer, &begin, &end, FALSE);
    gdk_clipboard_set_text(gtk_widget_get_clipboard(view->scroll), text);
    g_free(text);
}

void view_select_all(struct view *view)
{
    GtkTextIter begin, end;
    gtk_text_buffer_get_bounds(view->buffer, &begin, &end);
    gtk_text_buffer_select_range(view->buffer, &begin, &end);
}
