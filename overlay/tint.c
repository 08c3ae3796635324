/* The subclass that answers what GTK asks (tint.h). Newer versions ask for "foreground-rgba". */
#include "overlay/tint.h"

typedef GtkTextTag Tint;
typedef GtkTextTagClass TintClass;

static GType tint_get_type(void) G_GNUC_CONST;

G_DEFINE_TYPE(Tint, tint, GTK_TYPE_TEXT_TAG)

enum {
    FOREGROUND = 1,
};

static void get_property(GObject *object, unsigned id, GValue *value, GParamSpec *property)
{
    GdkRGBA *colour = NULL;
    (void)id, (void)property;
    g_object_get(object, "foreground-rgba", &colour, NULL);
    g_value_take_boxed(value, colour);
}

static void tint_class_init(TintClass *class)
{
    G_OBJECT_CLASS(class)->get_property = get_property;
    g_object_class_install_property(
        G_OBJECT_CLASS(class), FOREGROUND,
        g_param_spec_boxed("foreground", NULL, NULL, GDK_TYPE_RGBA, G_PARAM_READABLE));
}

static void tint_init(Tint *tint)
{
    (void)tint;
}

GtkTextTag *tint_create(const char *name)
{
    return g_object_new(tint_get_type(), "name", name, NULL);
}

void tint_set(GtkTextTag *tint, const char *colour)
{
    GdkRGBA rgba;
    if (gdk_rgba_parse(&rgba, colour))
        g_object_set(tint, "foreground-rgba", &rgba, NULL);
}
