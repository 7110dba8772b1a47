// Grafana's published types, as far as they say what a dashboard's JSON may be: tests/project/test_dashboard_schema.py
// declares each shipped dashboard as a constant of the type Shipped, and the compiler compares the two.
import type { Dashboard, Panel } from '@grafana/schema';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

type Simple = number | boolean | null | undefined;

// In JSON a member of an enum is its text or its number.
type Written<T> = T extends string
  ? `${T}`
  : T extends Simple
    ? T
    : unknown extends T
      ? T
      : T extends Array<infer Each>
        ? Array<Written<Each>>
        : { [Key in keyof T]: Written<T[Key]> };

// Options of a panel have defaults, at any depth.
type Optional<T> = T extends string | Simple
  ? T
  : unknown extends T
    ? T
    : T extends Array<infer Each>
      ? Array<Optional<Each>>
      : { [Key in keyof T]?: Optional<T[Key]> };

// The package has no type of Prometheus' queries: these are the keys that we use.
interface Target {
  datasource: { type: 'prometheus'; uid: string };
  editorMode: 'code';
  expr: string;
  instant: boolean;
  range: boolean;
  refId: string;
  legendFormat?: string;
  format?: 'table';
}

type FieldConfig = NonNullable<Panel['fieldConfig']>;
type PanelOf<Type extends string, Options, Custom> = Written<
  Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'>
> & {
  type: Type;
  options: Optional<Written<Options>>;
  targets: Target[];
  fieldConfig: Written<Omit<FieldConfig, 'defaults'>> & {
    defaults: Written<Omit<FieldConfig['defaults'], 'custom'>> & { custom?: Optional<Written<Custom>> };
  };
};

type AnyPanel =
  | PanelOf<'stat', stat.Options, never>
  | PanelOf<'state-timeline', timeline.Options, timeline.FieldConfig & { spanNulls?: boolean | number }>
  | PanelOf<'table', table.Options, table.FieldConfig>
  | PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>;

// Beside the schema's own keys these have some of the data source.
type Variable = Written<NonNullable<NonNullable<Dashboard['templating']>['list']>[number]> & { definition?: string };
type Annotation = Written<NonNullable<NonNullable<Dashboard['annotations']>['list']>[number]> & {
  expr?: string;
  step?: string;
  textFormat?: string;
  titleFormat?: string;
  useValueForTime?: boolean;
};

export type Shipped = Written<Omit<Dashboard, 'panels' | 'templating' | 'annotations'>> & {
  panels: AnyPanel[];
  templating: { list: Variable[] };
  annotations: { list: Annotation[] };
};
